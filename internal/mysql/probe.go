package mysql

import (
	"context"

	"sidestream/mapping"
	"sidestream/replicator"
)

// Probe implements replicator.Target. It costs one of the CRM's ids, which is
// why the caller probes once per refused row and not at every retry.
func (t *Target) Probe(ctx context.Context, record mapping.Record) error {
	err := t.probe(ctx, record)
	if err != nil {
		f := classify(err)
		t.abandon(ctx, f)
		return f
	}
	return nil
}

func (t *Target) probe(ctx context.Context, record mapping.Record) error {
	s, err := t.ready(ctx)
	if err != nil {
		return err
	}
	if _, err := s.exec(ctx, "START TRANSACTION"); err != nil {
		return err
	}
	row := t.appendRow([]byte(t.insertHead()), &record, t.table.Load())
	if _, err := s.exec(ctx, string(row)); err != nil {
		return err
	}
	_, err = s.exec(ctx, "ROLLBACK")
	return err
}

var _ replicator.Target = (*Target)(nil)
