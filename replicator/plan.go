package replicator

import (
	"errors"
	"time"

	"sidestream/mapping"
)

// plan decides what becomes of each change of a chunk. A change is no delta:
// the record is computed anew from everything that the log says of its message
// up to the end of the chunk, so every order of arrival ends in the same state.
func plan(mapper *mapping.Mapper, from Cursor, chunk Chunk, names map[mapping.User]string) []Item {
	items := make([]Item, len(chunk.Changes))
	last := map[MessageKey]int{} // of the updates: one is enough per message
	for i, c := range chunk.Changes {
		key := MessageKey{AccountID: c.AccountID, MessageID: c.MessageID}
		if c.Kind == mapping.KindMessage {
			history := chunk.Histories[key]
			if history == nil {
				history = chunk.Changes[i : i+1]
			}
			items[i] = planMessage(mapper, c, history, names)
			continue
		}
		items[i] = planChange(mapper, from, c, chunk.Histories[key], names)
		if items[i].Op == OpUpdate || items[i].Op == OpDelete {
			if earlier, ok := last[key]; ok {
				items[earlier] = pass(chunk.Changes[earlier])
			}
			last[key] = i
		}
	}
	for i := range items {
		items[i].CommittedAt = time.UnixMilli(chunk.Changes[i].CommittedAt)
	}
	return items
}

// Plan decides what becomes of one change by itself, after the cursor has passed
// it: history is every row of its message up to the cursor's position, in
// position order. It is for a dead letter's second chance.
func Plan(mapper *mapping.Mapper, cursor Cursor, change mapping.Change, history []mapping.Change, names map[mapping.User]string) Item {
	var item Item
	if change.Kind == mapping.KindMessage {
		item = planMessage(mapper, change, history, names)
	} else {
		item = planChange(mapper, cursor, change, history, names)
	}
	item.CommittedAt = time.UnixMilli(change.CommittedAt)
	return item
}

// planMessage plans the row of a message itself.
func planMessage(mapper *mapping.Mapper, c mapping.Change, history []mapping.Change, names map[mapping.User]string) Item {
	outcome, err := mapper.Record(history, names)
	if err != nil {
		return parked(c.Position, c.MessageID, c.Kind, "", reasonOf(err))
	}
	switch outcome.State {
	case mapping.Deleted, mapping.LeftOut:
		return pass(c)
	case mapping.Present, mapping.Redacted, mapping.Erased, mapping.Pruned:
	}
	return Item{Position: c.Position, MessageID: c.MessageID, Kind: c.Kind, Op: OpInsert, Record: outcome.Record, Pruned: outcome.State == mapping.Pruned}
}

// planChange plans an edit, an unsend or an erase.
func planChange(mapper *mapping.Mapper, from Cursor, c mapping.Change, history []mapping.Change, names map[mapping.User]string) Item {
	switch c.Kind {
	case mapping.KindEdit, mapping.KindUnsend, mapping.KindErase:
	default:
		return parked(c.Position, c.MessageID, c.Kind, "", "unsupported_kind")
	}
	if c.Kind != mapping.KindEdit {
		mapper = mapper.Regardless()
	}
	outcome, err := mapper.Record(history, names)
	if errors.Is(err, mapping.ErrNoMessage) {
		// It came before its message, whose own turn will take it into account.
		return pass(c)
	}
	if err != nil {
		if reason := reasonOf(err); reason == mapping.ReasonDuplicateMessage {
			// Nobody can say which of the two rows it is about.
			return parked(c.Position, c.MessageID, c.Kind, "", reason)
		}
		// The message itself was parked for the same reason.
		return pass(c)
	}
	var message mapping.Change
	for _, row := range history {
		if row.Kind == mapping.KindMessage {
			message = row
		}
	}
	if message.Position > from.Position {
		return pass(c) // In this chunk, where its insert knows already.
	}
	// Whether the CRM's row is ours, the ledger knows.
	item := Item{
		Position: c.Position, MessageID: c.MessageID, Kind: c.Kind, Op: OpUpdate,
		Record: outcome.Record, MessagePosition: message.Position, Was: mapper.Was(message),
	}
	switch outcome.State {
	case mapping.Deleted:
		item.Op = OpDelete
	case mapping.LeftOut, mapping.Pruned:
		return pass(c)
	case mapping.Erased:
		// The file does not know the user any more, and an earlier erase may
		// have taken it out of the CRM's row: direction and time guard the row.
		item.Was.UserID = ""
	case mapping.Present, mapping.Redacted:
	}
	return item
}

func pass(c mapping.Change) Item {
	return Item{Position: c.Position, MessageID: c.MessageID, Kind: c.Kind, Op: OpPass}
}

func parked(position int64, messageID string, kind mapping.Kind, code, reason string) Item {
	return Item{Position: position, MessageID: messageID, Kind: kind, Op: OpPark, Code: code, Reason: reason}
}

func reasonOf(err error) string {
	if mapped, ok := errors.AsType[*mapping.Error](err); ok {
		return mapped.Reason
	}
	return "unmapped"
}
