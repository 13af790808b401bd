package watcher_test

import (
	"os"
	"testing"

	"sidestream/watcher"
)

// BenchmarkWatcher_doorbell measures the time from the write to the doorbell
// until the reader is awake.
func BenchmarkWatcher_doorbell(b *testing.B) {
	path := files(b, b.TempDir())
	o := observe(b, path, watcher.Options{PollInterval: never})
	<-o.Wakeups()
	bell, err := os.OpenFile(path+"-doorbell", os.O_WRONLY, 0)
	must(b, err)
	b.Cleanup(func() { must(b, bell.Close()) })
	ring := []byte{1}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bell.WriteAt(ring, 0); err != nil {
			b.Fatal(err)
		}
		<-o.Wakeups()
	}
}
