package sqlite_test

import (
	"testing"

	"sidestream/internal/testkit/conformance"
	"sidestream/mapping"
)

func TestSource_conforms(t *testing.T) {
	conformance.RunSource(t, func(tb testing.TB) conformance.Log {
		tb.Helper()
		w := newWriter(tb)
		w.exec(changeIndex)
		return conformance.Log{Source: newSource(tb, w.path), Append: func(changes ...mapping.Change) {
			for _, c := range changes {
				w.store(c)
			}
		}}
	})
}
