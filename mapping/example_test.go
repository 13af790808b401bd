package mapping_test

import (
	"fmt"

	"sidestream/mapping"
)

func ExampleMapper_Record() {
	mapper, err := mapping.New(mapping.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	text := "how much is it?"
	message := mapping.Change{
		MessageID: "aWdf", Kind: mapping.KindMessage, AccountID: "1784", SenderID: "900", RecipientID: "1784",
		Direction: mapping.Inbound, Text: &text, Timestamp: 1_790_000_000_789,
	}
	names := map[mapping.User]string{message.User(): "ada"}

	outcome, err := mapper.Record([]mapping.Change{message}, names)
	fmt.Println(outcome.State, outcome.Record.Username, outcome.Record.Direction, outcome.Record.Message, err)

	unsend := message
	unsend.Kind, unsend.Text = mapping.KindUnsend, nil
	outcome, err = mapper.Record([]mapping.Change{message, unsend}, names)
	fmt.Println(outcome.State, outcome.Record.Username, outcome.Record.Direction, outcome.Record.Message, err)
	// Output:
	// present ada in how much is it? <nil>
	// redacted ada in [message unsent] <nil>
}
