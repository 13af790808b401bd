package statuspage

import "time"

// State is what a replicator is doing, in one word.
type State string

// The states. Waiting is for something that passes by itself, such as a CRM
// that is away; Blocked needs a person; Idle is switched off by configuration.
// Stopped is only said by who found no replicator to ask and looked itself.
const (
	Starting State = "starting"
	Running  State = "running"
	Waiting  State = "waiting"
	Blocked  State = "blocked"
	Idle     State = "idle"
	Stopped  State = "stopped"
)

// Status is what a replicator knows of itself at one moment.
type Status struct {
	// At is when the status was made; ages are counted back from it.
	At      time.Time `json:"at"`
	Version string    `json:"version"`
	// Source is the name of the source in the CRM's state tables, Database
	// the path of its file.
	Source   string `json:"source"`
	Database string `json:"database"`

	State State `json:"state"`
	// Since is when the replicator came into its state.
	Since time.Time `json:"since,omitzero"`
	// Class, Reason, Code and Detail say why it is waiting or blocked: the
	// class of the failure, its metric label, the server's error number and
	// our own words. Hint is the command or step that resolves it. Each may be
	// empty.
	Class  string `json:"class,omitempty"`
	Reason string `json:"reason,omitempty"`
	Code   string `json:"code,omitempty"`
	Detail string `json:"detail,omitempty"`
	Hint   string `json:"hint,omitempty"`
	// NextAttempt is when a waiting replicator tries again; zero where it does not.
	NextAttempt time.Time `json:"next_attempt,omitzero"`
	// StepSince is when the step in progress began, zero between steps: one that
	// takes long waits for the CRM's answer.
	StepSince time.Time `json:"step_since,omitzero"`

	// CursorKnown is false until the CRM has told where its cursor stands;
	// Generation, Position and AppliedTotal mean nothing before.
	CursorKnown  bool  `json:"cursor_known"`
	Generation   int   `json:"generation"`
	Position     int64 `json:"position"`
	AppliedTotal int64 `json:"applied_total"`
	// Head is the highest position in the source; nil where it cannot be read.
	Head *int64 `json:"head"`
	// LagChanges and LagSeconds are how far the cursor is behind the source;
	// nil where cursor, source or target are not certain.
	LagChanges *int64   `json:"lag_changes"`
	LagSeconds *float64 `json:"lag_seconds"`
	// LastApplied is when the cursor last moved, by the CRM's clock where this
	// process has not moved it; zero where it is not known.
	LastApplied time.Time `json:"last_applied,omitzero"`
	// LastSuccess is when the CRM last answered this process as it should, whether
	// there was anything to apply or not; zero where it has not yet.
	LastSuccess time.Time `json:"last_success,omitzero"`

	CRMUp bool `json:"crm_up"`
	// Enabled is the setting crm.enabled.
	Enabled         bool  `json:"enabled"`
	DeadLettersOpen int64 `json:"dead_letters_open"`

	// Wakeups counts what has woken the loop, by cause.
	Wakeups map[string]int64 `json:"wakeups,omitempty"`
	// Deaf is true where file events do not arrive and polling carries on alone.
	Deaf bool `json:"deaf"`
}
