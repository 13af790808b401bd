package replicator

import (
	"strings"
	"testing"
	"time"

	"sidestream/internal/app/console"
	"sidestream/internal/statuspage"
)

func TestStatus_max_lag(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status statuspage.Status
		want   string
	}{
		"in time":             {statuspage.Status{LagSeconds: new(60.0)}, ""},
		"late":                {statuspage.Status{LagSeconds: new(61.0)}, "the lag is 1m1s, more than 1m0s"},
		"not known":           {statuspage.Status{Class: "transient", Reason: "crm_unreachable"}, "the lag is not known"},
		"waiting, not late":   {statuspage.Status{Class: "transient", Reason: "deadlock", LagSeconds: new(1.0)}, ""},
		"blocked, no lag yet": {statuspage.Status{Class: "blocked", Reason: "target_engine", LagSeconds: new(0.0)}, "replication is blocked: target_engine"},
		"blocked, not known":  {statuspage.Status{Class: "blocked", Reason: "target_rewound"}, "replication is blocked: target_rewound"},
	} {
		err := statusCmd{MaxLag: console.Duration(time.Minute)}.judge(test.status)
		if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
		if err := (statusCmd{}).judge(test.status); err != nil {
			t.Errorf("%s, without a limit: %v", name, err)
		}
	}
}
