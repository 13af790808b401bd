package simulation_test

import (
	"maps"
	"slices"
	"testing"
)

// report prints what happened how often, and fails where something did not.
func report(t *testing.T, histories int, cover map[string]int) {
	t.Helper()
	for _, kind := range kinds() {
		if cover[kind] == 0 {
			t.Errorf("never happened: %s", kind)
		}
	}
	t.Logf("%d histories, 0 differences", histories)
	for _, kind := range slices.Sorted(maps.Keys(cover)) {
		t.Logf("%8d  %s", cover[kind], kind)
	}
}

// kinds is what must happen in ten thousand histories.
func kinds() []string {
	var all []string
	for prefix, names := range map[string][]string{
		"CRM away: ": {
			"connection_lost", "crm_read_only", "crm_unreachable", "too_many_connections",
		},
		"": {
			"a loop runs", "a message that the CRM refuses", "a message that the CRM refuses with an unknown error",
			"a message without a user", "a new generation", "a stranger's row", "a wake-up is sent", "a wake-up is withheld",
			"both run at once", "decision missed the cursor", "file busy", "file replaced by a new database",
			"file restored from an older copy", "restart", "two hosts with copies of one file", "wrong file for a while",
		},
		"change ": {
			"edit", "erase", "message", "test", "unsend",
		},
		"dead letter retried: ": {
			"already_applied", "applied", "failed", "later", "refused",
		},
		"decision ": {
			"init", "resume", "set",
		},
		"fault ": {
			"answer lost", "commit lost", "connection_lost", "crm_disk_full", "crm_read_only", "deadlock", "lock_wait",
			"too_many_connections", "unknown error", "zombie commits later", "zombie rolls back later",
		},
		"reason ": {
			"commit_unanswered", "cursor_moved", "cursor_undecided", "ledger_ahead", "source_busy", "source_diverged", "source_replaced",
			"source_rewound", "target_cursor_behind", "target_cursor_lost", "unknown",
		},
		"restore of the CRM: ": {
			"all", "cursor", "no state", "table", "truncate",
		},
		"state ": {
			"blocked", "idle", "running", "waiting",
		},
	} {
		for _, name := range names {
			all = append(all, prefix+name)
		}
	}
	return all
}
