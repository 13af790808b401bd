package watcher

// The causes of wake-ups.
const (
	// CauseDoorbell is a write to the doorbell: a commit is readable.
	CauseDoorbell = "doorbell"
	// CauseEvent is an event on the database, its -wal or its directory.
	CauseEvent = "event"
	// CauseRecheck is the timer behind an event that may have come too early.
	CauseRecheck = "recheck"
	// CausePoll is the poll timer.
	CausePoll = "poll"
	// CauseReplaced is another file under the database's name.
	CauseReplaced = "replaced"
	// CauseOverflow is an error of the event queue: events were lost.
	CauseOverflow = "overflow"
)

// Causes returns every cause that Options.OnWake can be told, for metrics that
// want all their label values from the start.
func Causes() []string {
	return []string{CauseDoorbell, CauseEvent, CauseRecheck, CausePoll, CauseReplaced, CauseOverflow}
}
