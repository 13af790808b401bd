package simulate

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1" // Instagram sends the old signature beside the new one.
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"time"
)

const (
	defaultAttempts = 10
	// answerTimeout is how long Instagram waits for an answer.
	answerTimeout = 5 * time.Second
	firstBackoff  = 100 * time.Millisecond
	maxBackoff    = 5 * time.Second
)

// SenderOptions says where to deliver.
type SenderOptions struct {
	// URL is the webhook's address. Required.
	URL string
	// Secret is the app secret that signs bodies. Required.
	Secret string
	// Client makes the requests. Defaults to one of its own.
	Client *http.Client
	// Attempts bounds the attempts per delivery. Defaults to 10; a negative
	// value means until the context ends.
	Attempts int
	// Sleep waits between attempts and returns early with the context's error.
	// Defaults to real time.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Sender delivers bodies as Instagram does: signed, and again until they are
// acknowledged. It is safe for concurrent use.
type Sender struct {
	opts SenderOptions
	own  *http.Transport
}

// Receipt tells what became of a delivery.
type Receipt struct {
	// Acknowledged is true after an answer of 200. A delivery without it may
	// have been stored all the same.
	Acknowledged bool
	// Status is the last answer's, or 0 where none came.
	Status int
	// Attempts is how many requests were made.
	Attempts int
}

// ErrNotAcknowledged says that a delivery was given up.
var ErrNotAcknowledged = errors.New("delivery not acknowledged")

// NewSender checks the options and returns a Sender.
func NewSender(opts SenderOptions) (*Sender, error) {
	if opts.URL == "" || opts.Secret == "" {
		return nil, errors.New("simulate: a Sender needs a URL and a secret")
	}
	s := &Sender{opts: opts}
	if s.opts.Client == nil {
		s.own = &http.Transport{MaxIdleConnsPerHost: 64}
		s.opts.Client = &http.Client{Transport: s.own}
	}
	if s.opts.Attempts == 0 {
		s.opts.Attempts = defaultAttempts
	}
	if s.opts.Sleep == nil {
		s.opts.Sleep = sleep
	}
	return s, nil
}

// Close closes idle connections of the Sender's own client.
func (s *Sender) Close() {
	if s.own != nil {
		s.own.CloseIdleConnections()
	}
}

// Sign returns the value of the X-Hub-Signature-256 header for a body.
func Sign(secret string, body []byte) string {
	return "sha256=" + signature(sha256.New, secret, body)
}

func signature(algorithm func() hash.Hash, secret string, body []byte) string {
	mac := hmac.New(algorithm, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// Post delivers until the answer is 200. It tries again after a 5xx, a 429 and
// a broken connection; any other answer and the last attempt end it with an
// error that is ErrNotAcknowledged. The receipt is filled in either way.
func (s *Sender) Post(ctx context.Context, d Delivery) (Receipt, error) {
	var r Receipt
	wait := firstBackoff
	for {
		r.Attempts++
		status, err := s.attempt(ctx, d.Body)
		r.Status = status
		switch {
		case err == nil && status == http.StatusOK:
			r.Acknowledged = true
			return r, nil
		case ctx.Err() != nil:
			return r, fmt.Errorf("%w: %w", ErrNotAcknowledged, ctx.Err())
		case err == nil && status < 500 && status != http.StatusTooManyRequests:
			return r, fmt.Errorf("%w: HTTP %d", ErrNotAcknowledged, status)
		case r.Attempts == s.opts.Attempts && err != nil:
			return r, fmt.Errorf("%w: %w", ErrNotAcknowledged, err)
		case r.Attempts == s.opts.Attempts:
			return r, fmt.Errorf("%w: HTTP %d", ErrNotAcknowledged, status)
		}
		if err := s.opts.Sleep(ctx, wait); err != nil {
			return r, fmt.Errorf("%w: %w", ErrNotAcknowledged, err)
		}
		wait = min(2*wait, maxBackoff)
	}
}

// attempt makes one request with the headers of a real one. It returns status
// 0 where no answer came.
func (s *Sender) attempt(ctx context.Context, body []byte) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.opts.URL, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("User-Agent", "facebookexternalua")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Facebook-API-Version", "v26.0")
	req.Header.Set("X-Hub-Signature", "sha1="+signature(sha1.New, s.opts.Secret, body))
	req.Header.Set("X-Hub-Signature-256", Sign(s.opts.Secret, body))
	resp, err := s.opts.Client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	// Read to the end, so that the connection is used again.
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)); err != nil {
		return 0, err
	}
	return resp.StatusCode, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
