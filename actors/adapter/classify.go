package adapter

import (
	"net/http"
	"strconv"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// byStatus says what an HTTP answer means where the vendor's body does not say more. Standard
// Webhooks 1.0: only 2xx is success, 3xx is a failure and never followed, 410 disables the endpoint,
// 429, 502 and 504 ask for fewer calls.
//
// An answer that broke off in its body is judged by its status alone: a 2xx means taken.
func byStatus(a *event.Answer) Verdict {
	if a.Status == 0 {
		return noAnswer()
	}
	v := Verdict{Reason: "http_" + strconv.Itoa(a.Status)}
	switch s := a.Status; {
	case s >= 200 && s < 300:
		return Verdict{Kind: KindDelivered}
	case s == http.StatusMovedPermanently, s == http.StatusPermanentRedirect:
		v.Kind, v.Detail = KindPause, "the address has moved; redirects are not followed, enter the new address"
	case s == http.StatusUnauthorized, s == http.StatusForbidden, s == http.StatusGone:
		v.Kind = KindPause
	case s == http.StatusTooManyRequests:
		v.Kind, v.RetryAfter = KindRetry, retryAfter(a)
	case s == http.StatusRequestTimeout, s == http.StatusTooEarly, s < 400, s >= 500:
		v.Kind, v.RetryAfter, v.Fault = KindRetry, retryAfter(a), true
	default:
		v.Kind = KindDead
	}
	return v
}

// noAnswer is the verdict where no answer came, or too little of one. Who made the call knows why.
func noAnswer() Verdict { return Verdict{Kind: KindRetry, Fault: true} }

// retryAfter reads the answer's Retry-After. An HTTP date in it counts from the answer's own Date,
// the vendor's clock; without one it says nothing.
func retryAfter(a *event.Answer) time.Duration {
	sent, err := http.ParseTime(a.Header.Get("Date"))
	if err != nil {
		sent = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return a.RetryAfter(sent)
}
