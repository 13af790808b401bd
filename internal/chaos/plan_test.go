package chaos_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// kind is what is done to the programs, to the CRM or to what lies between.
type kind string

// The kinds of faults that are scheduled.
const (
	replicatorKilled     kind = "replicator killed"
	replicatorTerminated kind = "replicator terminated"
	replicatorFrozen     kind = "replicator frozen"
	replicatorDoubled    kind = "replicator doubled"
	writerKilled         kind = "writer killed"
	writerTerminated     kind = "writer terminated"
	writerFrozen         kind = "writer frozen"
	crmKilled            kind = "CRM killed"
	crmFrozen            kind = "CRM frozen"
	connectionsReset     kind = "connections reset"
	connectionsRefused   kind = "connections refused"
	cutByTheByte         kind = "cut after some bytes"
	cutInCommand         kind = "cut inside a command"
	answersDelayed       kind = "packets delayed"
	commitSwallowed      kind = "COMMIT's answer swallowed"
	blackHole            kind = "connections black-holed"
	senderClock          kind = "clock of the sender stepped"
	serverZone           kind = "zone of the CRM changed"
	hostClock            kind = "clock of the writer's host stepped back"
	sourceMoved          kind = "source replaced by a copy"
	sourceRestored       kind = "older source restored and resumed"
	personErased         kind = "person erased"
)

// planned says of each kind how often it is drawn once every kind has had its
// turn. Each takes the CRM or a file away for a while: more of the slow ones
// would leave less of the storm to the others.
func planned() map[kind]int {
	return map[kind]int{
		replicatorKilled: 16, replicatorTerminated: 5, replicatorFrozen: 10, replicatorDoubled: 12,
		writerKilled: 10, writerTerminated: 3, writerFrozen: 5, crmKilled: 3, crmFrozen: 4,
		connectionsReset: 8, connectionsRefused: 3, cutByTheByte: 6, cutInCommand: 10, answersDelayed: 6,
		commitSwallowed: 12, blackHole: 4, senderClock: 3, serverZone: 2, hostClock: 1,
		sourceMoved: 2, sourceRestored: 1, personErased: 6,
	}
}

// fault is one thing that is going to happen.
type fault struct {
	kind kind
	// at is when, since the beginning of the storm.
	at time.Duration
	// source is which of the two it is about, where it is about one.
	source int
	// slot is which of a source's replicators it is about.
	slot int
	// length is for how long, where it lasts.
	length time.Duration
	// choice decides what else there is to decide.
	choice uint64
	// must is true for the first of each kind: it happens even where the storm
	// has fallen behind its schedule.
	must bool
}

// How many writers, files and source names there are, and how many replicators
// of each at most.
const (
	sources              = 2
	replicatorsPerSource = 2
)

// schedule draws the faults of a storm. The first part has one of each kind, in
// random order; the rest is drawn at random until the end comes near.
func schedule(seed uint64, duration time.Duration) []fault {
	random := rand.New(rand.NewPCG(seed, 0xfa017))
	weights := planned()
	kinds := make([]kind, 0, len(weights))
	var lots []kind
	for k := range weights {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	for _, k := range kinds {
		for range weights[k] {
			lots = append(lots, k)
		}
	}
	random.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })

	draw := func(k kind, at time.Duration, must bool) fault {
		return fault{
			kind: k, at: at, source: random.IntN(sources), slot: random.IntN(replicatorsPerSource),
			length: time.Duration(100+random.IntN(1900)) * time.Millisecond, choice: random.Uint64(), must: must,
		}
	}
	const calmBefore, mostApart = 1500 * time.Millisecond, 1500 * time.Millisecond
	end := duration * 95 / 100
	apart := min(mostApart, (end-calmBefore)*4/5/time.Duration(len(kinds)))
	at := calmBefore
	var all []fault
	for _, k := range kinds {
		all = append(all, draw(k, at, true))
		at += apart/2 + time.Duration(random.Int64N(int64(apart)))
	}
	for at < end {
		all = append(all, draw(lots[random.IntN(len(lots))], at, false))
		// Some come close together, so that one meets the other's aftermath.
		at += time.Duration(50+random.IntN(1100)) * time.Millisecond
	}
	return all
}

func TestSchedule(t *testing.T) {
	const seed = 7
	for _, duration := range []time.Duration{20 * time.Second, time.Minute, time.Hour} {
		all := schedule(seed, duration)
		if again := schedule(seed, duration); !slices.Equal(all, again) {
			t.Error("one seed is two schedules")
		}
		if other := schedule(seed+1, duration); slices.Equal(all, other) {
			t.Error("two seeds are one schedule")
		}
		seen := map[kind]int{}
		for i, f := range all {
			seen[f.kind]++
			if f.at > duration || f.length <= 0 || (i > 0 && f.at < all[i-1].at) {
				t.Errorf("fault %d of %d: %+v", i, len(all), f)
			}
			if f.must != (seen[f.kind] == 1 && i < len(planned())) {
				t.Errorf("fault %d: must is %v", i, f.must)
			}
		}
		if len(seen) != len(planned()) {
			t.Errorf("%v: %d of %d kinds", duration, len(seen), len(planned()))
		}
	}
	if n := len(schedule(seed, time.Hour)); n < 3000 {
		t.Errorf("only %d faults in an hour", n)
	}
}
