package writer

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestBudgeted(t *testing.T) {
	const largest = bodyBudget / 2
	entered, leave := make(chan struct{}), make(chan struct{})
	handler := budgeted(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-leave
	}), largest)
	post := func() *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(""))
		r.ContentLength = -1 // counts as the largest
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	for range 2 {
		go post()
		<-entered
	}
	if w := post(); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("a body beyond the budget was answered %d", w.Code)
	}
	close(leave)
}
