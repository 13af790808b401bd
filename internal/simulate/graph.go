package simulate

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Mode is how a Graph answers everybody.
type Mode string

// The modes of a Graph.
const (
	// ModeOK answers with the user's name.
	ModeOK Mode = "ok"
	// ModeDown answers 500 without a Graph error.
	ModeDown Mode = "down"
	// ModeThrottled answers error 4 and a wait of one minute.
	ModeThrottled Mode = "throttled"
	// ModeTokenDead answers error 190/463, whatever the token.
	ModeTokenDead Mode = "token_dead"
	// ModePermission answers error 10.
	ModePermission Mode = "permission"
)

// UserState is how a Graph answers for one user while its mode is ModeOK.
type UserState string

// The states of a user.
const (
	// UserKnown has a name.
	UserKnown UserState = "known"
	// UserNoConsent never wrote to the account: error 230.
	UserNoConsent UserState = "no_consent"
	// UserGone does not exist: error 100/2534014.
	UserGone UserState = "gone"
)

// Graph is an http.Handler that stands in for the profile API:
// GET /{anything}/{user id}?fields=username. It is safe for concurrent use.
type Graph struct {
	mu       sync.Mutex
	token    string
	mode     Mode
	delay    time.Duration
	usage    int
	users    map[string]UserState
	names    map[string]string
	requests map[string]int
	total    int
}

// NewGraph returns a Graph in ModeOK that accepts this token alone.
func NewGraph(token string) *Graph {
	return &Graph{
		token: token, mode: ModeOK,
		users: make(map[string]UserState), names: make(map[string]string), requests: make(map[string]int),
	}
}

// Username returns the name that a Graph gives to a user id by default.
func Username(userID string) string {
	first := []string{"anna", "boris", "chiara", "dilan", "eszter", "farid", "greta", "hiro", "ines", "jonas"}
	second := []string{"bakes", "climbs", "draws", "knits", "paints", "rides", "runs", "sews", "sings", "surfs"}
	h := fnv.New64a()
	_, _ = h.Write([]byte(userID)) // A hash never fails to write.
	n := h.Sum64()
	return fmt.Sprintf("%s.%s_%d", first[n%10], second[n/10%10], n/100%1_000_000)
}

// SetMode changes how everybody is answered.
func (g *Graph) SetMode(mode Mode) { g.set(func() { g.mode = mode }) }

// SetDelay makes every answer take this long. It goes with any mode.
func (g *Graph) SetDelay(delay time.Duration) { g.set(func() { g.delay = delay }) }

// SetUsage sets the percentage that the usage headers report; 0 leaves them out.
func (g *Graph) SetUsage(percent int) { g.set(func() { g.usage = percent }) }

// SetToken changes the token that is accepted.
func (g *Graph) SetToken(token string) { g.set(func() { g.token = token }) }

// SetUser changes how one user is answered.
func (g *Graph) SetUser(userID string, state UserState) { g.set(func() { g.users[userID] = state }) }

// Rename gives a user another name than Username does.
func (g *Graph) Rename(userID, name string) { g.set(func() { g.names[userID] = name }) }

func (g *Graph) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
}

// Requests returns how often a user was asked for, answered or not.
func (g *Graph) Requests(userID string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.requests[userID]
}

// Total returns how many requests came in all.
func (g *Graph) Total() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.total
}

// ServeHTTP answers one question.
func (g *Graph) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	userID, err := url.PathUnescape(path.Base(r.URL.EscapedPath()))
	if err != nil {
		http.Error(w, "not a path", http.StatusBadRequest)
		return
	}
	g.mu.Lock()
	g.total++
	g.requests[userID]++
	delay, usage := g.delay, g.usage
	status, body := g.answer(r, userID)
	throttled := g.mode == ModeThrottled
	g.mu.Unlock()

	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	if usage > 0 {
		w.Header().Set("X-App-Usage", fmt.Sprintf(`{"call_count":%d,"total_cputime":1,"total_time":1}`, usage))
	}
	if throttled {
		w.Header().Set("X-Business-Use-Case-Usage",
			`{"17841400000000001":[{"type":"instagram","call_count":100,"total_cputime":1,"total_time":1,"estimated_time_to_regain_access":1}]}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // A client that has gone is its own affair.
}

// answer decides what a request gets. Graph.mu is held.
func (g *Graph) answer(r *http.Request, userID string) (status int, body []byte) {
	bearer, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case g.mode == ModeDown:
		return http.StatusInternalServerError, []byte("down")
	case r.Method != http.MethodGet:
		return graphError(100, 33, "Unsupported request - method type: "+r.Method)
	case r.URL.Query().Has("access_token"):
		// The real API takes it; a client of ours that sends it is broken.
		return graphError(100, 0, "The token belongs into the header")
	case g.mode == ModeTokenDead, !isBearer, bearer != g.token:
		return graphError(190, 463, "Error validating access token")
	case g.mode == ModeThrottled:
		return graphError(4, 0, "Application request limit reached")
	case g.mode == ModePermission:
		return graphError(10, 0, "Application does not have permission for this action")
	case r.URL.Query().Get("fields") != "username":
		return graphError(100, 0, "Tried accessing nonexisting field")
	}
	switch g.users[userID] {
	case UserNoConsent:
		return graphError(230, 0, "User consent is required to access user profile")
	case UserGone:
		return graphError(100, 2534014, "The requested user cannot be found")
	default:
		return http.StatusOK, mustJSON(map[string]string{"username": g.name(userID), "id": userID})
	}
}

func (g *Graph) name(userID string) string {
	if name, renamed := g.names[userID]; renamed {
		return name
	}
	return Username(userID)
}

// graphError builds an error answer. Most of the API's errors come with 400.
func graphError(code, subcode int, message string) (status int, body []byte) {
	e := map[string]any{"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "A1b2C3d4E5f6G7h8"}
	if subcode != 0 {
		e["error_subcode"] = subcode
	}
	return http.StatusBadRequest, mustJSON(map[string]any{"error": e})
}

// mustJSON encodes values of this package's own making, which always encode.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("simulate: encode %T: %v", v, err))
	}
	return b
}
