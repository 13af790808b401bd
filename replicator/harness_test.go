package replicator_test

import (
	"fmt"
	"testing"

	"sidestream/internal/testkit/fake"
	"sidestream/mapping"
	"sidestream/replicator"
)

// bundle is one source, one CRM and one replicator between them.
type bundle struct {
	source *fake.Source
	server *fake.Server
	target *fake.Target
	*replicator.Replicator
	tokens int
}

func setup(tb testing.TB, change ...func(*replicator.Options)) *bundle {
	tb.Helper()
	b := &bundle{source: fake.NewSource("source"), server: fake.NewServer(nil)}
	b.join(tb, change...)
	return b
}

// join starts a fresh replicator (a restarted process) on the bundle's ends.
func (b *bundle) join(tb testing.TB, change ...func(*replicator.Options)) {
	tb.Helper()
	b.target = b.server.Target("main")
	b.Replicator = newReplicator(tb, b.source, b.target, func(o *replicator.Options) {
		o.Token = func() string { b.tokens++; return fmt.Sprint("token-", b.tokens) }
		for _, c := range change {
			c(o)
		}
	})
}

type fatal interface {
	Helper()
	Fatal(args ...any)
}

func newReplicator(tb fatal, source replicator.Source, target replicator.Target, change func(*replicator.Options)) *replicator.Replicator {
	tb.Helper()
	mapper, err := mapping.New(mapping.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	opt := replicator.Options{Source: source, Target: target, Mapper: mapper}
	if change != nil {
		change(&opt)
	}
	r, err := replicator.New(opt)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func say(id string, words string) mapping.Change {
	return mapping.Change{
		MessageID: id, Kind: mapping.KindMessage, AccountID: "1784", SenderID: "900", RecipientID: "1784",
		Direction: mapping.Inbound, Text: new(words), Timestamp: 1_790_000_000_000, CommittedAt: 1_790_000_000_100,
	}
}

func sayMany(from, to int) []mapping.Change {
	var all []mapping.Change
	for i := from; i <= to; i++ {
		all = append(all, say(fmt.Sprint("m", i), fmt.Sprint("text ", i)))
	}
	return all
}

func edit(id string, version int64, words string) mapping.Change {
	c := say(id, words)
	c.Kind, c.Version = mapping.KindEdit, version
	return c
}

func unsend(id string) mapping.Change {
	c := say(id, "")
	c.Kind, c.Text = mapping.KindUnsend, nil
	return c
}

// drain steps until there is nothing left; a failure fails the test.
func (b *bundle) drain(t *testing.T) {
	t.Helper()
	for {
		progress, err := b.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !progress {
			return
		}
	}
}

// persist steps through failures, as Run does without the waiting.
func (b *bundle) persist(t *testing.T, atMost int) {
	t.Helper()
	var last error
	for range atMost {
		progress, err := b.Step(t.Context())
		if err == nil && !progress {
			return
		}
		last = err
	}
	t.Fatalf("not drained after %d steps; last error: %v", atMost, last)
}

func (b *bundle) messages() []string {
	var all []string
	for _, r := range b.server.Rows() {
		all = append(all, r.Message)
	}
	return all
}
