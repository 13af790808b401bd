package replicator

import (
	"context"
	"fmt"
)

// HowToBegin is the command that decides where replication begins. Nothing in it
// can be pasted into a shell as it stands: the command refuses PLACE, while a
// list of choices with bars would pipe the first one into the second.
const HowToBegin = "replicator cursor init --at PLACE, where PLACE is beginning (send all), end (send only what comes) or the position behind which to start"

// Begin tells what a source holds whose target has no cursor, or why replication
// must not begin there by itself: where both sides hold rows it is a person's
// decision, because doubling a CRM's history is not a default.
func Begin(ctx context.Context, source Source, target interface {
	Empty(ctx context.Context) (bool, error)
},
) (Chunk, error) {
	chunk, err := source.Read(ctx, Cursor{}, 1)
	if err != nil || chunk.Head == 0 {
		return chunk, err
	}
	empty, err := target.Empty(ctx)
	if err != nil {
		return Chunk{}, err
	}
	if !empty {
		return Chunk{}, &Failure{
			Class: Blocked, Reason: "cursor_undecided",
			Detail: fmt.Sprintf("no cursor exists, the source holds positions up to %d and the CRM's table holds rows too", chunk.Head),
			Hint:   "decide once: " + HowToBegin,
		}
	}
	return chunk, nil
}
