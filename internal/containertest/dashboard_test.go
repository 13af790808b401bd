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
// dashboard asks it: each must have an answer. A rate needs two scrapes.
func (i *installation) wantDashboard(t *testing.T) {
	t.Helper()
	var dashboard struct{ Panels []panel }
	if err := json.Unmarshal([]byte(deployed(t, "grafana/dashboards/sidestream.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$instance", ".*", "$__rate_interval", "1m")
	asked := 0
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			expr := variables.Replace(target.Expr)
			testkit.EventuallyNil(t, patient, func() error {
				n, err := i.series(t, expr)
				if err == nil && n == 0 {
					err = errors.New("no data")
				}
				return err
			}, fmt.Sprintf("the panel %q has an answer to %s", p.Title, expr))
			asked++
		}
	}
	t.Logf("Prometheus has data for all %d questions of the dashboard", asked)
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
