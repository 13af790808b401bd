//go:build container

package containertest

import (
	"testing"
)

// TestSidecar proves, one sentence after the other, what must hold for the two
// programs in containers. They share one CRM server; each has a network, a
// volume and a database of its own.
func TestSidecar(t *testing.T) {
	for _, target := range []string{"writer", "replicator"} {
		image(t, target)
	}
	server := startCRM(t)
	t.Run("group", func(t *testing.T) {
		for _, proof := range []struct {
			sentence string
			prove    func(t *testing.T, server *crm)
		}{
			{"messages_arrive_by_events_not_by_polls", arriveByEvents},
			{"the_replicator_may_come_first", comesFirst},
			{"another_user_is_refused_and_the_writer_unharmed", refusesHarm},
			{"another_user_waits_where_it_may_not_write", waitsWithoutWriter},
			{"another_user_who_may_not_read_is_told", refusesStranger},
			{"a_volume_in_memory_works", liesInMemory},
			{"health_is_shown", showsHealth},
			{"the_CRM_off_the_network_and_back", outlivesOutage},
			{"both_stop_at_once_under_load", stopsInOrder},
			{"the_replicator_stops_without_the_CRM", stopsWithoutTheCRM},
			{"an_update_that_overlaps_doubles_nothing", rolls},
			{"SIGKILL_of_each_container", survivesKills},
		} {
			t.Run(proof.sentence, func(t *testing.T) {
				t.Parallel()
				proof.prove(t, server)
			})
		}
	})
}

// arriveByEvents gives polling ten minutes, so that what arrives has been woken
// for by a file event across two containers.
func arriveByEvents(t *testing.T, server *crm) {
	w := newWorld(t, server)
	w.writer(t).waitHealth(t, "healthy")
	w.replicator(t, "--env", "SIDESTREAM_SOURCE_POLL_INTERVAL=10m").waitHealth(t, "healthy")
	w.waitState(t, "running", "")
	took := w.timed(t, 60)
	w.arrived(t)
	s, err := w.status(t, w.ops)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("with a poll every 10 minutes: answer to row in the CRM p50 %.1f ms, slowest %.1f ms; woken up by: %v",
		ms(quantile(took, 0.5)), ms(quantile(took, 1)), s.Wakeups)
}
