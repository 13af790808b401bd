package main

import (
	"context"

	"sidestream/internal/simulate"
)

// sums is what was counted at the end.
type sums struct {
	numbers
	tally       *tally
	rows        simulate.Sums
	deadLetters int
	// unnamed rows show the user's id because the name came too late for them.
	unnamed int
}

// clean tells whether the CRM holds every message that was sent, once, in
// order, and as it should read.
func (s sums) clean() bool {
	return s.rows.Clean() && s.deadLetters == 0 && s.sent == s.acknowledged && s.acknowledged == s.inSource && s.inSource == s.inCRM
}

// count compares what was sent with what the CRM's table holds, and shows it.
func (d *demo) count(ctx context.Context, s *stage, t *traffic) error {
	sums, err := sumUp(ctx, s, t)
	if err != nil {
		return err
	}
	d.screen.sums(sums)
	if !sums.clean() {
		return errSums
	}
	return nil
}

func sumUp(ctx context.Context, s *stage, t *traffic) (sums, error) {
	var result sums
	accounts, err := s.source.accounts(ctx)
	if err != nil {
		return result, err
	}
	rows, err := s.crm.rows(ctx)
	if err != nil {
		return result, err
	}
	if result.deadLetters, err = s.crm.deadLetters(ctx); err != nil {
		return result, err
	}
	if result.unnamed, err = s.crm.unnamed(ctx); err != nil {
		return result, err
	}
	result.sent, result.acknowledged = int(t.sent.messages.Load()), t.acknowledged()
	result.inSource, result.inCRM = len(accounts), len(rows)
	result.rows = simulate.Compare(expectedRows(t.all(), accounts), rows)
	result.tally = &t.sent
	return result, nil
}

// expectedRows brings the messages of all accounts into one order. Within an
// account it is the order of the acknowledgements. Which of two accounts came
// first nobody knows better than the order of the commits, given as the account
// of each. What was never committed comes last.
func expectedRows(lanes []*lane, commits []string) []simulate.Row {
	waiting := make(map[string][]simulate.Row, len(lanes))
	for _, l := range lanes {
		waiting[l.account] = l.expected.Rows()
	}
	var rows []simulate.Row
	for _, account := range commits {
		if next := waiting[account]; len(next) > 0 {
			rows, waiting[account] = append(rows, next[0]), next[1:]
		}
	}
	for _, l := range lanes {
		rows = append(rows, waiting[l.account]...)
	}
	return rows
}
