package store

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
)

// BenchmarkCommit compares many senders whose deliveries share transactions
// with one sender who waits for each commit. The ratio is what group commit
// gains; both fsync every transaction.
func BenchmarkCommit(b *testing.B) {
	mid := strings.Repeat("aWdf", 38)
	text := strings.Repeat("Привет, ", 7)
	var n atomic.Int64
	next := func() Delivery { return delivery(message(fmt.Sprintf("%s%012d", mid, n.Add(1)), text)) }

	b.Run("one_row_per_transaction", func(b *testing.B) {
		s := openStore(b, nil)
		for b.Loop() {
			commit(b, s, next())
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	for _, senders := range []int{8, 64} {
		b.Run(fmt.Sprintf("group_commit_of_%d_senders", senders), func(b *testing.B) {
			s := openStore(b, nil)
			b.SetParallelism(max(1, senders/runtime.GOMAXPROCS(0)))
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					commit(b, s, next())
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
	b.Run("deliveries_of_256", func(b *testing.B) {
		s := openStore(b, nil)
		for b.Loop() {
			var d Delivery
			for range 256 {
				d.Changes = append(d.Changes, next().Changes...)
			}
			commit(b, s, d)
		}
		b.ReportMetric(256*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("redeliveries", func(b *testing.B) {
		s := openStore(b, nil)
		d := next()
		for b.Loop() {
			commit(b, s, d)
		}
	})
}
