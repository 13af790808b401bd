package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// status is what the demo reads of the replicator's /status.
type status struct {
	State           string   `json:"state"`
	Detail          string   `json:"detail"`
	Position        int64    `json:"position"`
	LagChanges      *int64   `json:"lag_changes"`
	LagSeconds      *float64 `json:"lag_seconds"`
	DeadLettersOpen int64    `json:"dead_letters_open"`
}

// status asks the replicator how it is.
func (s *stage) status(ctx context.Context) (status, error) {
	var answer status
	err := s.get(ctx, s.addresses.replicatorPage("status"), func(body io.Reader) error {
		return json.NewDecoder(body).Decode(&answer)
	})
	return answer, err
}

// answers tells whether a page is there.
func (s *stage) answers(ctx context.Context, url string) bool {
	return s.get(ctx, url, func(io.Reader) error { return nil }) == nil
}

func (s *stage) get(ctx context.Context, url string, read func(io.Reader) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return read(response.Body)
}
