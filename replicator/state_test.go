package replicator_test

import "testing"

func TestReplicator_State_tells_how_long_a_step_takes(t *testing.T) {
	b := setup(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	first := true
	b.target.Down = func() bool {
		if first {
			first = false
			close(asked)
			<-answer
		}
		return false
	}
	done := make(chan error, 1)
	go func() {
		_, err := b.Step(t.Context())
		done <- err
	}()
	<-asked
	if b.State().StepSince.IsZero() {
		t.Error("no step in progress while the target is silent")
	}
	close(answer)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if since := b.State().StepSince; !since.IsZero() {
		t.Errorf("a step in progress since %v after it has ended", since)
	}
}
