/*
 * The cursor, and the transactions that move it, as a model for spin.
 *
 * Two replicators apply the changes 1..N of one source to one target. Every
 * transaction begins with the compare-and-set on the cursor, which takes the
 * row's lock until the transaction ends. At any moment a replicator can lose
 * its connection, be killed and start again, or get no answer to a COMMIT that
 * happened, did not happen, or happens later while the transaction still holds
 * the lock (a zombie). Once, a part of the target may be restored from a copy:
 * all of it, the cursor's row alone, or the CRM's table alone; an operator then
 * goes on where cursor and table still agree.
 *
 * Checked: no change is ever in the target twice, none is passed over, and all
 * arrive. Each BUG_ switch takes one defence away; then spin must find a
 * history that breaks one of these.
 */
#ifndef N
#define N 3
#endif
#define NOBODY 255

byte cursor = 0;      /* in the target */
byte ledger = 0;      /* the last change that the ledger holds */
byte rows[N + 1];     /* how often each change is in the target's table */
byte lock = NOBODY;   /* who holds the cursor's row */
byte decision = 0;    /* the operator's, in the cursor's row */
byte faults = 4;      /* how many faults a history may hold */
bool settled = false; /* no fault and no restore comes any more */

/* The copy that may be restored. */
byte copyCursor, copyLedger, copyRows[N + 1];

/* What a COMMIT does: rows and cursor at once. */
inline store(from) {
	atomic {
		rows[from + 1]++;
		assert(rows[from + 1] <= 1);
		assert(from == 0 || rows[from] == 1);
		cursor = from + 1;
		ledger = from + 1;
		lock = NOBODY
	}
}

/* What the operator's command does: it walks back from the end of the ledger, or
 * from the cursor, to the newest change that the table still holds. */
inline resume() {
	atomic {
		lock == NOBODY;
#ifdef BUG_RESUME_CURSOR
		agreed = cursor;
#else
		agreed = (ledger > cursor -> ledger : cursor);
#endif
		do
		:: agreed > 0 && rows[agreed] == 0 -> agreed--
		:: else -> break
		od;
		cursor = agreed; ledger = agreed; decision++
	}
}

/* A transaction whose client is gone ends when it likes. */
proctype Zombie(byte me; byte from) {
	if
#ifdef BUG_NO_LOCK
	:: store(from)
	:: skip
#else
	:: atomic { lock == me + 2 -> store(from) }
	:: atomic { lock == me + 2 -> lock = NOBODY }
#endif
	fi
}

inline load() {
	atomic {
		if
		:: !known || cursor >= mine || decision != seen ->
			mine = cursor; seen = decision; known = true
		:: else -> goto blocked /* behind what this process has applied */
		fi
	}
}

proctype Replicator(byte me) {
	byte mine = 0, seen = 0, agreed;
	bool known = false;

start:
	load();
	do
	:: mine == N && settled && cursor == N -> break
	:: mine == N && cursor != mine -> goto start /* an idle one looks again */
	:: mine < N ->
		/* The compare-and-set waits for the lock; a plain read would not. */
#ifndef BUG_NO_LOCK
		atomic { lock == NOBODY -> lock = me };
#endif
		if
#ifdef BUG_NO_COMPARE
		:: skip ->
#else
		:: cursor == mine ->
#endif
			if
#ifndef BUG_NO_LEDGER_CHECK
			:: ledger > mine -> lock = NOBODY; goto blocked /* the cursor went back alone */
#endif
#ifndef BUG_NO_REWOUND_CHECK
			:: ledger > 0 && rows[ledger] == 0 -> lock = NOBODY; goto blocked /* ids come anew */
#endif
			:: else
			fi;
			if
#ifdef BUG_APART
			:: atomic {
				rows[mine + 1]++;
				assert(rows[mine + 1] <= 1)
			   };
			   if
			   :: atomic { faults > 0 -> faults--; lock = NOBODY }; goto killed
			   :: atomic { cursor = mine + 1; lock = NOBODY; mine++ }
			   fi
#elif defined BUG_CURSOR_FIRST
			:: cursor = mine + 1;
			   if
			   :: atomic { faults > 0 -> faults--; lock = NOBODY }; goto killed
			   :: atomic { rows[mine + 1]++; lock = NOBODY; mine++ }
			   fi
#else
			:: store(mine); mine++                                     /* answered */
			:: atomic { faults > 0 -> faults--; store(mine) };         /* the answer is lost */
			   goto start
			:: atomic { faults > 0 -> faults--; lock = NOBODY };       /* lost before it happened */
			   goto start
			:: atomic { faults > 0 -> faults--; lock = me + 2; run Zombie(me, mine) }; goto start
			:: atomic { faults > 0 -> faults--; lock = NOBODY }; goto killed
#endif
			fi
#ifndef BUG_NO_COMPARE
		:: else ->
#ifdef BUG_LATE_CHECK
			/* Rows and COMMIT were in the same packet: the miss is seen too late. */
			atomic { rows[mine + 1]++; assert(rows[mine + 1] <= 1) };
#endif
			lock = NOBODY;
			goto start
#endif
		fi
	od;
	goto end;
killed:
	known = false;
	goto start;
blocked:
	resume();
	goto start;
end:
	skip
}

inline putRows() {
	i = 0;
	do
	:: i <= N -> rows[i] = copyRows[i]; i++
	:: else -> break
	od
}

/* A copy is taken and, later, restored, all of it or a part. */
proctype Host() {
	byte i, agreed;
	if
	:: atomic {
		copyCursor = cursor; copyLedger = ledger;
		i = 0;
		do
		:: i <= N -> copyRows[i] = rows[i]; i++
		:: else -> break
		od
	   };
	   if
	   :: atomic { lock == NOBODY; putRows(); cursor = copyCursor; ledger = copyLedger }
	   :: atomic { lock == NOBODY; cursor = copyCursor }
	   :: atomic { lock == NOBODY; putRows() };
	      /* A next change gives the loss away; where none comes, a person must. */
	      if
	      :: cursor < N
	      :: cursor == N -> resume()
	      fi
	   fi
	:: skip
	fi;
	settled = true
}

init {
	atomic { run Replicator(0); run Replicator(1); run Host() };
	/* When all have ended, everything is there exactly once. */
	_nr_pr == 1;
	byte i = 1;
	do
	:: i <= N -> assert(rows[i] == 1); i++
	:: else -> break
	od
}
