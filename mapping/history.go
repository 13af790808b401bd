package mapping

// history is what all rows of one message come to.
type history struct {
	message *Change
	// text and attachments are those that count, nil where there are none.
	text        *string
	attachments *string
	edited      bool
	unsent      bool
	erased      bool
	// pruned is set where the text that counts is not kept any more.
	pruned bool
}

// digest reads the rows in one pass. Nothing in it depends on their order.
func digest(rows []Change) (history, error) {
	var found history
	// An edit counts for what it brings: one without a text (Instagram sends
	// them beside ordinary messages, as number 0) takes no text away, and one
	// without attachments keeps those that are there.
	var textEdit, attachmentsEdit, prunedEdit *Change
	for i := range rows {
		row := &rows[i]
		switch row.Kind {
		case KindMessage:
			if found.message != nil {
				return history{}, &Error{Reason: ReasonDuplicateMessage}
			}
			found.message = row
		case KindEdit:
			if hasText(row.Text) && newer(row, textEdit) {
				textEdit = row
			}
			if hasAttachments(row.Attachments) && newer(row, attachmentsEdit) {
				attachmentsEdit = row
			}
			if row.pruned() && newer(row, prunedEdit) {
				prunedEdit = row
			}
		case KindUnsend:
			found.unsent = true
		case KindErase:
			found.erased = true
		}
	}
	if found.message == nil {
		return history{}, ErrNoMessage
	}

	// The rows of a message are pruned together with it or not at all. Elsewhere
	// an edit that looks like one is an edit without a text.
	if found.message.pruned() {
		if prunedEdit != nil && textEdit != nil && prunedEdit.Version > textEdit.Version {
			textEdit = nil
		}
		found.pruned = textEdit == nil
	}
	// The erase's own row may lie behind what was read of the log.
	found.erased = found.erased || found.message.User().UserID == ErasedText

	found.text, found.attachments = found.message.Text, found.message.Attachments
	if textEdit != nil {
		found.text, found.edited = textEdit.Text, true
	}
	if attachmentsEdit != nil {
		found.attachments, found.edited = attachmentsEdit.Attachments, true
	}
	return found, nil
}

// newer tells whether edit has a higher number than the best one so far, which
// may be nil. Numbers are unique within a message.
func newer(edit, best *Change) bool {
	return best == nil || edit.Version > best.Version
}

func hasText(text *string) bool { return text != nil && *text != "" }
