package containertest

import (
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"sidestream/internal/simulate"
)

// patient is longer than anything here takes on a busy machine.
const patient = 2 * time.Minute

const (
	appSecret   = "an app secret for tests"
	verifyToken = "a verify token for tests"
)

// newSender returns one that tries until it is acknowledged.
func newSender(tb testing.TB, url string) *simulate.Sender {
	tb.Helper()
	sender, err := simulate.NewSender(simulate.SenderOptions{
		URL: url, Secret: appSecret, Attempts: -1,
		Sleep: func(ctx context.Context, _ time.Duration) error { return wait(ctx, 50*time.Millisecond) },
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(sender.Close)
	return sender
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// status is the part of /status that tests look at.
type status struct {
	State       string           `json:"state"`
	Reason      string           `json:"reason"`
	Detail      string           `json:"detail"`
	Hint        string           `json:"hint"`
	CursorKnown bool             `json:"cursor_known"`
	Position    int64            `json:"position"`
	LagChanges  *int64           `json:"lag_changes"`
	CRMUp       bool             `json:"crm_up"`
	Wakeups     map[string]int64 `json:"wakeups"`
}

// readStatus asks a running replicator.
func readStatus(ctx context.Context, url string) (s status, err error) {
	body, err := get(ctx, url+"/status")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal([]byte(body), &s)
}

func get(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// readRows reads the CRM's table in the order of its ids.
func readRows(ctx context.Context, db *sql.DB) (all []simulate.Row, err error) {
	result, err := db.QueryContext(ctx, "SELECT user_id, direction, message, UNIX_TIMESTAMP(created_at) FROM messages ORDER BY id")
	if err != nil {
		return nil, err
	}
	defer func() { _ = result.Close() }()
	for result.Next() {
		var row simulate.Row
		if err := result.Scan(&row.UserID, &row.Direction, &row.Message, &row.CreatedAt); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, result.Err()
}
