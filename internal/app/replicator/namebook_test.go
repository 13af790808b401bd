package replicator

import (
	"context"
	"errors"
	"slices"
	"testing"

	"sidestream/internal/instagram"
	"sidestream/mapping"
)

func TestNameBook(t *testing.T) {
	t.Parallel()
	answers := map[string]error{
		"anna": nil, "gone": &instagram.Error{Kind: instagram.Gone}, "silent": &instagram.Error{Kind: instagram.Temporary}, "other": errors.New("other"),
	}
	for _, test := range []struct{ users, names, asked []string }{
		{[]string{"anna", "anna"}, []string{"@anna", "@anna"}, []string{"anna"}},
		{[]string{"gone", "gone", "anna"}, []string{"", "", "@anna"}, []string{"gone", "anna"}},
		{[]string{"anna", "silent", "silent", "berta", "anna"}, []string{"@anna", "", "", "", "@anna"}, []string{"anna", "silent"}},
		{[]string{"other", "anna"}, []string{"", ""}, []string{"other"}},
	} {
		var asked, names []string
		book := newNameBook(func(_ context.Context, id string) (string, error) {
			asked = append(asked, id)
			return "@" + id, answers[id]
		})
		for _, user := range test.users {
			names = append(names, book.find(t.Context(), mapping.User{AccountID: "1", UserID: user}))
		}
		if !slices.Equal(names, test.names) || !slices.Equal(asked, test.asked) {
			t.Errorf("%q: names %q after questions for %q, want %q after %q", test.users, names, asked, test.names, test.asked)
		}
	}
}
