package writer

import (
	"net/http"

	"golang.org/x/sync/semaphore"
)

// bodyBudget is how many bytes of bodies may be read at once. A body is held
// before its signature can be checked, so without a limit anybody could fill
// the memory with unsigned ones.
const bodyBudget = 128 << 20

// budgeted refuses requests whose bodies do not fit into the budget any more:
// 503, and Instagram delivers again. A body of unknown length counts as the
// largest that is allowed.
func budgeted(handler http.Handler, largest int64) http.Handler {
	budget := semaphore.NewWeighted(max(bodyBudget, largest))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size := r.ContentLength
		if size < 0 || size > largest {
			size = largest
		}
		if !budget.TryAcquire(size) {
			w.Header().Set("Retry-After", "5")
			http.Error(w, "overloaded", http.StatusServiceUnavailable)
			return
		}
		defer budget.Release(size)
		handler.ServeHTTP(w, r)
	})
}
