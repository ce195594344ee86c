package event

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Call is one attempt's request as an adapter built it, addressed and signed. Exactly one of HTTP,
// Mail and Event is set.
type Call struct {
	HTTP  *HTTPCall
	Mail  *Mail
	Event *Event // to be appended to the log
	// Recipient names who receives it, where the vendor limits the rate for each; else "".
	Recipient string
}

// HTTPCall is a request. Body is sent as it stands.
type HTTPCall struct {
	Method string
	URL    string
	Header http.Header
	Body   []byte
}

// Format writes where the call goes and no more: its URL's path, header and body may hold secrets.
func (c HTTPCall) Format(f fmt.State, _ rune) {
	host := "?"
	if u, err := url.Parse(c.URL); err == nil {
		host = u.Host
	}
	_, _ = fmt.Fprintf(f, "%s %s (%d bytes)", c.Method, host, len(c.Body))
}

// Mail is a message and the server that takes it.
type Mail struct {
	Host       string // SMTP server
	Port       int    // default 587, or 465 with implicit TLS
	TLS        string // "starttls" (default, required), "implicit" or "none"
	Username   string // "" for no authentication
	Password   Secret
	From       string // RFC 5322 address, with or without a name
	To         []string
	MessageID  string // without angle brackets; the same across retries
	Date       time.Time
	Subject    string
	Text       string
	HTML       string
	Calendar   string // an iCalendar object, or ""
	CalMethod  string // its METHOD: "REQUEST" or "CANCEL"
	References string // Message-ID of the thread's first message, or ""
}

// Format writes which mail it is and no more: the rest is personal, or secret.
func (m Mail) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "mail %s through %s to %d recipients", m.MessageID, m.Host, len(m.To))
}

// Answer is what came of a call. Err is set when no answer came: nothing was sent, it timed out, or
// the connection broke.
type Answer struct {
	Status int // HTTP status, SMTP reply code (250 when accepted), or what HTTP would say of an event: 201, or 200 when it was in the log
	Header http.Header
	Body   []byte // at most 64 KiB of it
	Err    error
}

// MaxRetryAfter bounds what a Retry-After header can ask for.
const MaxRetryAfter = 24 * time.Hour

// RetryAfter is how long the answer's Retry-After header (RFC 9110 section 10.2.3) asks to wait, as
// of now: seconds, which may have a fraction, or an HTTP date. It is at most MaxRetryAfter, and 0
// where the header is missing, unreadable or in the past.
func (a *Answer) RetryAfter(now time.Time) time.Duration {
	text := strings.TrimSpace(a.Header.Get("Retry-After"))
	if text == "" {
		return 0
	}
	if strings.Trim(text, "0123456789.") == "" {
		seconds, err := strconv.ParseFloat(text, 64)
		switch {
		case seconds >= MaxRetryAfter.Seconds(): // out of range too
			return MaxRetryAfter
		case err != nil:
			return 0
		}
		return time.Duration(seconds * float64(time.Second))
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), MaxRetryAfter)
}
