package usernames_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sidestream/internal/usernames"
	"sidestream/mapping"
)

// api stands in for the profile client. It answers OK with "name of ID" unless
// it is told otherwise.
type api struct {
	mu       sync.Mutex
	delay    time.Duration
	all      *usernames.Answer
	one      map[mapping.User]usernames.Answer
	asked    map[mapping.User]int
	total    int
	running  int
	most     int
	untilEnd bool
}

func (a *api) lookup(ctx context.Context, user mapping.User) usernames.Answer {
	a.mu.Lock()
	if a.asked == nil {
		a.asked = make(map[mapping.User]int)
	}
	a.asked[user]++
	a.total++
	a.running++
	a.most = max(a.most, a.running)
	delay, untilEnd := a.delay, a.untilEnd
	answer := usernames.Answer{Outcome: usernames.OK, Username: "name of " + user.UserID}
	if one, ok := a.one[user]; ok {
		answer = one
	} else if a.all != nil {
		answer = *a.all
	}
	a.mu.Unlock()
	if untilEnd {
		<-ctx.Done()
	} else if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			answer = usernames.Answer{Outcome: usernames.Temporary}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running--
	return answer
}

// say sets how everybody is answered from now on.
func (a *api) say(outcome usernames.Outcome) { a.sayAnswer(usernames.Answer{Outcome: outcome}) }

func (a *api) sayAnswer(answer usernames.Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = &answer
}

func (a *api) sayNames() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = nil
}

func (a *api) slow(delay time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.delay = delay
}

func (a *api) lookups() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.total
}

// bench is a running cache over an api, inside a synctest bubble.
type bench struct {
	testing.TB
	api      *api
	cache    *usernames.Cache
	registry *prometheus.Registry
	log      *bytes.Buffer
	stop     func()
}

// run calls test with a cache that runs, under a clock of its own.
func run(t *testing.T, opts usernames.Options, test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{TB: t, api: &api{}, registry: prometheus.NewRegistry(), log: &bytes.Buffer{}}
		if opts.Lookup == nil {
			opts.Lookup = b.api.lookup
		}
		opts.Registerer = b.registry
		opts.Logger = slog.New(slog.NewTextHandler(b.log, nil))
		cache, err := usernames.New(opts)
		if err != nil {
			t.Fatal(err)
		}
		b.cache = cache
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- cache.Run(ctx) }()
		b.stop = sync.OnceFunc(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		defer b.stop()
		test(b)
	})
}

// user returns the user of a number.
func user(n int) mapping.User {
	return mapping.User{AccountID: "17841400000000001", UserID: fmt.Sprint(n)}
}

func users(n int) []mapping.User {
	all := make([]mapping.User, 0, n)
	for i := range n {
		all = append(all, user(i))
	}
	return all
}

// name asks for one user.
func (b *bench) name(n int) string {
	b.Helper()
	return b.cache.Usernames(b.Context(), []mapping.User{user(n)})[user(n)]
}

// wants asserts a name and how many lookups there have been in all.
func (b *bench) wants(n int, name string, lookups int) {
	b.Helper()
	if got := b.name(n); got != name {
		b.Errorf("user %d is %q, want %q", n, got, name)
	}
	if got := b.api.lookups(); got != lookups {
		b.Errorf("%d lookups, want %d", got, lookups)
	}
}

// pass lets the bubble's clock go on.
func (b *bench) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// metric returns the value of a metric's series with this label value, or of
// its only series where value is empty.
func (b *bench) metric(name, value string) float64 {
	b.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		b.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "sidestream_replicator_"+name {
			continue
		}
		for _, series := range family.GetMetric() {
			if value != "" && (len(series.GetLabel()) != 1 || series.GetLabel()[0].GetValue() != value) {
				continue
			}
			if family.GetType().String() == "COUNTER" {
				return series.GetCounter().GetValue()
			}
			return series.GetGauge().GetValue()
		}
	}
	b.Fatalf("no metric %s %s", name, value)
	return 0
}

func (b *bench) wantsMetric(name, value string, want float64) {
	b.Helper()
	if got := b.metric(name, value); got != want {
		b.Errorf("%s{%s} is %v, want %v", name, value, got, want)
	}
}
