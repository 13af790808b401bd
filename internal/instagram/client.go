package instagram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// DefaultBaseURL is the API's address for apps that use Instagram Login.
const DefaultBaseURL = "https://graph.instagram.com/v26.0"

const (
	defaultTimeout = 5 * time.Second
	// maxBody bounds what is read of an answer; a profile needs a few hundred bytes.
	maxBody = 64 << 10
	// maxHeader bounds an answer's header block.
	maxHeader = 64 << 10
	// maxRedirects bounds how often one question follows its own host's redirects.
	maxRedirects = 3
	// maxUsername is the width of the CRM's column; Instagram's own limit is 30.
	maxUsername = 100
)

// ErrNoToken says that no access token is configured: lookups are off. No
// request was made.
var ErrNoToken = errors.New("no instagram access token is configured")

var errOtherHost = errors.New("redirected to another host")

// Options says how to reach the API.
type Options struct {
	// BaseURL is the API's address with its version, without a query. Defaults
	// to DefaultBaseURL.
	BaseURL string
	// Token returns the access token for the next request; it is asked each
	// time, so that a new token needs no restart. An empty token switches
	// lookups off. Required. It is called concurrently.
	Token func() (string, error)
	// Timeout bounds one question, redirects and body included. Defaults to 5s.
	Timeout time.Duration
	// HTTPClient is used, apart from its redirect policy, where set. Defaults
	// to a client of its own.
	HTTPClient *http.Client
	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
}

// Client asks the profile API. It is safe for concurrent use.
type Client struct {
	base    string
	token   func() (string, error)
	timeout time.Duration
	http    *http.Client
	now     func() time.Time

	mu sync.Mutex
	// pausedUntil is when the usage that the API reports allows the next request.
	pausedUntil time.Time
}

// New checks the options and returns a Client; it makes no request.
func New(opts Options) (*Client, error) {
	if opts.Token == nil {
		return nil, errors.New("instagram: Options.Token is missing")
	}
	if opts.BaseURL == "" {
		opts.BaseURL = DefaultBaseURL
	}
	base, err := url.Parse(opts.BaseURL)
	if err != nil {
		return nil, errors.New("instagram: Options.BaseURL is not a URL")
	}
	if (base.Scheme != "https" && base.Scheme != "http") || base.Host == "" {
		return nil, errors.New("instagram: Options.BaseURL needs https:// and a host")
	}
	if base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("instagram: Options.BaseURL must not hold a user, a query or a fragment")
	}
	if opts.Timeout < 0 {
		return nil, errors.New("instagram: Options.Timeout is negative")
	}
	if opts.Timeout == 0 {
		opts.Timeout = defaultTimeout
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Client{
		base:    strings.TrimRight(base.String(), "/"),
		token:   opts.Token,
		timeout: opts.Timeout,
		http:    httpClient(opts.HTTPClient),
		now:     opts.Now,
	}, nil
}

// httpClient returns given, or a client of our own, with our redirect policy.
func httpClient(given *http.Client) *http.Client {
	var c http.Client
	if given != nil {
		c = *given
	} else if t, ok := http.DefaultTransport.(*http.Transport); ok {
		own := t.Clone()
		own.MaxResponseHeaderBytes = maxHeader
		own.MaxIdleConnsPerHost = 8
		c.Transport = own
	}
	c.CheckRedirect = sameHost
	return &c
}

// sameHost refuses to carry the token anywhere else, a plain http port included.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if req.URL.Host != first.Host || req.URL.Scheme != first.Scheme || len(via) > maxRedirects {
		return errOtherHost
	}
	return nil
}

// Close closes idle connections. A Client can be used again afterwards.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Username returns the name of the user with this Instagram-scoped id. Its
// error is ErrNoToken or an *Error. While the API reports that the app is
// close to its limit, it answers Throttled without a request.
func (c *Client) Username(ctx context.Context, userID string) (string, error) {
	if !askable(userID) {
		return "", &Error{Kind: NotKnown, Detail: "not a user id"}
	}
	return c.ask(ctx, userID)
}

// Me returns the name of the account that the token belongs to, for people who
// want to know whether it works. Errors are those of Username.
func (c *Client) Me(ctx context.Context) (string, error) { return c.ask(ctx, me) }

// me is the API's word for the account that a token belongs to.
const me = "me"

func (c *Client) ask(ctx context.Context, userID string) (string, error) {
	token, err := c.token()
	if err != nil {
		return "", &Error{Kind: Config, Detail: fmt.Sprintf("access token: %v", err), Err: err}
	}
	token = strings.TrimSpace(token)
	if token == "" {
		return "", ErrNoToken
	}
	if strings.IndexFunc(token, notInToken) >= 0 {
		return "", &Error{Kind: Config, Detail: "the access token holds a character that no token has"}
	}
	if wait := c.paused(); wait > 0 {
		return "", &Error{Kind: Throttled, RetryAfter: wait, Detail: "close to the rate limit; no request made"}
	}

	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	address := c.base + "/" + url.PathEscape(userID) + "?fields=username"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", &Error{Kind: NotKnown, Detail: "the user id does not fit into a URL"}
	}
	// In a header, because URLs end up in the logs of proxies.
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")

	resp, err := c.http.Do(req)
	if err != nil {
		return "", transportError(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return "", transportError(err)
	}
	usage := readUsage(resp.Header, c.now())
	c.pauseFor(usage.pause())
	return answer(resp.StatusCode, body, usage.retryAfter)
}

// answer reads the API's answer.
func answer(status int, body []byte, retryAfter time.Duration) (string, error) {
	if len(body) > maxBody {
		return "", &Error{Kind: Temporary, Status: status, Detail: "the answer is too long"}
	}
	var reply struct {
		Username string     `json:"username"`
		Error    graphError `json:"error"`
	}
	decoded := json.Unmarshal(body, &reply) == nil
	if status != http.StatusOK || reply.Error != (graphError{}) {
		return "", reply.Error.classify(status, retryAfter)
	}
	if !decoded {
		return "", &Error{Kind: Temporary, Status: status, Detail: "the answer is not a profile"}
	}
	if !presentable(reply.Username) {
		return "", &Error{Kind: NotKnown, Status: status, Detail: "the profile has no usable username"}
	}
	return reply.Username, nil
}

// paused returns how long the reported usage forbids requests.
func (c *Client) paused() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, c.pausedUntil.Sub(c.now()))
}

func (c *Client) pauseFor(d time.Duration) {
	if d <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if until := c.now().Add(d); until.After(c.pausedUntil) {
		c.pausedUntil = until
	}
}

// askable leaves out what would address something else than a user: "me" is
// the account itself, and dots move through the path even when escaped.
func askable(userID string) bool {
	return userID != "" && userID != "." && userID != ".." && userID != me
}

// presentable keeps a strange name from spoiling the record that it goes into.
func presentable(username string) bool {
	return username != "" && utf8.RuneCountInString(username) <= maxUsername &&
		strings.IndexFunc(username, unicode.IsControl) < 0
}

func notInToken(r rune) bool { return r <= ' ' || r > '~' }

// transportError describes a request without an answer in words of our own:
// net/http's texts quote URLs and bytes of the answer.
func transportError(err error) *Error {
	e := &Error{Kind: Temporary, Detail: "the connection failed", Err: err}
	var timeout net.Error
	var dns *net.DNSError
	switch {
	case errors.Is(err, errOtherHost):
		e.Kind, e.Detail = Config, "the API's address redirects elsewhere"
	case errors.Is(err, context.Canceled):
		e.Detail = "cancelled"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		e.Detail = "timed out"
	case errors.As(err, &dns):
		e.Detail = "the host name does not resolve"
	}
	return e
}
