package instagram

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

const (
	// usageLimit is the percentage of a quota at which requests pause: the
	// account's other programs share the quota.
	usageLimit = 90
	// usagePause is how long they pause where the API names no time. Quotas
	// are counted over a sliding hour.
	usagePause = 5 * time.Minute
	// maxRetryAfter keeps a wrong header from ending lookups for good.
	maxRetryAfter = 24 * time.Hour
)

// usage is what an answer's headers tell about quotas.
type usage struct {
	// percent is the highest of all reported figures.
	percent float64
	// retryAfter is the longest wait that any header asks for, or 0.
	retryAfter time.Duration
}

// quota is one figure of X-App-Usage or X-Business-Use-Case-Usage.
type quota struct {
	CallCount    float64 `json:"call_count"`
	TotalCPUTime float64 `json:"total_cputime"`
	TotalTime    float64 `json:"total_time"`
	// Regain is in minutes; only X-Business-Use-Case-Usage has it.
	Regain float64 `json:"estimated_time_to_regain_access"`
}

// readUsage reads the quota headers. One that is absent or cannot be read
// counts as nothing used: they are advice.
func readUsage(h http.Header, now time.Time) usage {
	var u usage
	var app quota
	if json.Unmarshal([]byte(h.Get("X-App-Usage")), &app) == nil {
		u.add(app)
	}
	var business map[string][]quota
	if json.Unmarshal([]byte(h.Get("X-Business-Use-Case-Usage")), &business) == nil {
		for _, quotas := range business {
			for _, q := range quotas {
				u.add(q)
			}
		}
	}
	if value := h.Get("Retry-After"); value != "" {
		if seconds, err := strconv.ParseFloat(value, 64); err == nil {
			u.wait(seconds, time.Second)
		} else if at, err := http.ParseTime(value); err == nil {
			u.wait(at.Sub(now).Seconds(), time.Second)
		}
	}
	return u
}

func (u *usage) add(q quota) {
	u.percent = max(u.percent, q.CallCount, q.TotalCPUTime, q.TotalTime)
	u.wait(q.Regain, time.Minute)
}

// wait notes a wait of n units. It compares before it multiplies, because a
// Duration overflows.
func (u *usage) wait(n float64, unit time.Duration) {
	switch {
	case n > float64(maxRetryAfter/unit):
		u.retryAfter = maxRetryAfter
	case n > 0:
		u.retryAfter = max(u.retryAfter, time.Duration(n*float64(unit)))
	}
}

// pause returns how long to make no request, or 0.
func (u *usage) pause() time.Duration {
	switch {
	case u.percent < usageLimit:
		return 0
	case u.retryAfter > 0:
		return u.retryAfter
	default:
		return usagePause
	}
}
