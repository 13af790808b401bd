//go:build container

package containertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"sidestream/internal/testkit"
)

// panel is one of the dashboard's.
type panel struct {
	Title, Type string
	Targets     []struct{ Expr string }
}

// wantDashboard asks the running Prometheus what every panel of Grafana's
// dashboard asks it: each question must be understood, and what the first row
// shows must be there.
func (i *installation) wantDashboard(t *testing.T) {
	t.Helper()
	var dashboard struct{ Panels []panel }
	if err := json.Unmarshal([]byte(deployed(t, "grafana/dashboards/sidestream.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$instance", ".*", "$__rate_interval", "1m")
	asked, answered := 0, 0
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			expr := variables.Replace(target.Expr)
			n := 0
			ask := func() (err error) {
				if n, err = i.series(t, expr); err == nil && n == 0 && p.Type == "stat" {
					err = errors.New("no data")
				}
				return err
			}
			testkit.EventuallyNil(t, patient, ask, fmt.Sprintf("the panel %q has an answer to %s", p.Title, expr))
			asked++
			if n > 0 {
				answered++
			}
		}
	}
	t.Logf("the dashboard's %d questions are understood by Prometheus, %d have data", asked, answered)
	if answered < asked*2/3 {
		t.Error("most of the dashboard is empty")
	}
}

// series returns how many series Prometheus has for an expression.
func (i *installation) series(t *testing.T, expr string) (int, error) {
	t.Helper()
	body, err := get(t.Context(), "http://127.0.0.1:"+strconv.Itoa(i.prom)+"/api/v1/query?query="+url.QueryEscape(expr))
	if err != nil {
		return 0, err
	}
	var answer struct {
		Status, Error string
		Data          struct{ Result []json.RawMessage }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return 0, err
	}
	if answer.Status != "success" {
		return 0, errors.New(answer.Error)
	}
	return len(answer.Data.Result), nil
}
