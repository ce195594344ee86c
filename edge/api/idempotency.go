package api

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

// A write that carries an Idempotency-Key is done once: who sends it again, because the answer was
// lost, gets that answer, and the header Idempotent-Replayed. The log keeps it for a day under a hash of
// the key and who sent it, with a fingerprint of the request. What failed on our side is not kept.

const (
	idempotencyHeader = "Idempotency-Key"
	replayedHeader    = "Idempotent-Replayed"
	// shownOnce marks, in an operation's Metadata, one whose answer holds a secret and is never stored.
	shownOnce = "shown-once"
	// changesNothing marks one that is no write, though its method is POST.
	changesNothing = "changes-nothing"

	answersFor     = 24 * time.Hour
	keepTimeout    = 20 * time.Second // more than the log lets a write wait
	forgetTimeout  = 2 * time.Second  // whose write failed has waited enough
	abandonedAfter = time.Minute      // longer than any write takes: whoever began it is gone
	maxOnceBody    = 1 << 20          // as huma's own limit
	maxKeptAnswer  = 64 << 10
	maxIdempotency = 255
)

// Answers is where answers are kept; *journal.Bucket is one.
type Answers interface {
	Get(ctx context.Context, key string) (journal.Value, error)
	Create(ctx context.Context, key string, data []byte) (revision uint64, err error)
	Update(ctx context.Context, key string, data []byte, revision uint64) (uint64, error)
	Delete(ctx context.Context, key string) error
}

var _ Answers = (*journal.Bucket)(nil)

// kept is a write as the log remembers it.
type kept struct {
	At          time.Time         `json:"at"`
	Fingerprint string            `json:"fingerprint"`
	Try         string            `json:"try,omitempty"`    // tells this attempt's mark from another one's
	Status      int               `json:"status,omitempty"` // 0: under way
	Header      map[string]string `json:"header,omitempty"`
	Body        []byte            `json:"body,omitempty"`
	Withheld    bool              `json:"withheld,omitempty"` // the answer is a secret, or too large
}

// keptHeaders are those of an answer that belong to what was done.
var keptHeaders = []string{"Content-Type", "ETag", "Cache-Control"}

// attempt is one request with an idempotency key.
type attempt struct {
	who    *access.Caller
	key    string
	secret bool // the answer must not be stored
}

func idempotencyKey(r *http.Request) (key string, given bool) {
	v, given := r.Header[idempotencyHeader]
	return strings.Join(v, ","), given
}

// writes reports whether the operation takes an idempotency key.
func writes(op *huma.Operation) bool {
	return op.Method != http.MethodGet && op.Metadata[changesNothing] == nil
}

// idempotencyParam documents the header.
func idempotencyParam() *huma.Param {
	n := maxIdempotency
	return &huma.Param{
		Name: idempotencyHeader, In: "header", Schema: &huma.Schema{Type: huma.TypeString, MaxLength: &n},
		Description: "Makes it safe to repeat: for 24 hours the same request is answered the same, with the header " +
			replayedHeader + ", and not done again.",
	}
}

// once has h serve the request, unless that was done before. All that this asks of the log waits for that no longer
// than one publish does.
func (a *API) once(w http.ResponseWriter, r *http.Request, t attempt, h http.HandlerFunc) {
	r = r.WithContext(journal.Patient(r.Context()))
	if err := a.onceOnly(w, r, t, h); err != nil {
		problem.Write(w, r, problemOf(err))
	}
}

func (a *API) onceOnly(w http.ResponseWriter, r *http.Request, t attempt, h http.HandlerFunc) error {
	if t.key == "" || len(t.key) > maxIdempotency || strings.ContainsFunc(t.key, func(c rune) bool { return c < ' ' || c > '~' }) {
		return problem.New(problem.FieldInvalid, "%s must have 1 to %d printable characters; a UUID will do", idempotencyHeader, maxIdempotency)
	}
	body, err := problem.ReadBody(w, r, maxOnceBody)
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	name := sha256.Sum256([]byte(t.who.Actor() + "\x00" + t.key))
	key := hex.EncodeToString(name[:])
	mark := kept{At: a.cfg.Now().UTC(), Fingerprint: fingerprint(t.key, r, body), Try: rand.Text()}
	revision, before, err := a.claim(r.Context(), key, mark)
	switch {
	case err != nil:
		return err
	case before == nil:
		a.serveOnce(w, r, t, h, key, mark, revision)
		return nil
	case before.Withheld:
		return problem.New(problem.AnswerNotKept, "it was done at %s and answered %d; what it answered is shown once", before.At.Format(time.RFC3339), before.Status)
	}
	for name, v := range before.Header {
		w.Header().Set(name, v)
	}
	w.Header().Set(replayedHeader, "true")
	w.WriteHeader(before.Status)
	_, _ = w.Write(before.Body)
	return nil
}

// fingerprint tells requests apart. The idempotency key, which is stored nowhere, keeps a secret in the
// body from being guessed by it.
func fingerprint(key string, r *http.Request, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%s\n%s\n", r.Method, r.URL.RequestURI())
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// claim notes that the write is under way, or returns what is kept of it.
func (a *API) claim(ctx context.Context, key string, mark kept) (revision uint64, before *kept, err error) {
	data, err := json.Marshal(mark)
	if err != nil {
		return 0, nil, err
	}
	for {
		revision, err = a.cfg.Answers.Create(ctx, key, data)
		if !errors.Is(err, journal.ErrConflict) {
			return revision, nil, err
		}
		v, err := a.cfg.Answers.Get(ctx, key)
		if errors.Is(err, journal.ErrNotFound) {
			continue // it failed, or its time was over, in between
		}
		if err != nil {
			return 0, nil, err
		}
		var k kept
		if err := json.Unmarshal(v.Data, &k); err != nil {
			return 0, nil, fmt.Errorf("what is kept under an idempotency key cannot be read: %w", err)
		}
		if k.Try == mark.Try {
			return v.Revision, nil, nil // it was noted, and the log's answer was lost
		}
		age := mark.At.Sub(k.At)
		if age < answersFor && (k.Status != 0 || age < abandonedAfter) {
			return 0, &k, k.answers(mark)
		}
		revision, err = a.cfg.Answers.Update(ctx, key, data, v.Revision)
		if !errors.Is(err, journal.ErrConflict) {
			return revision, nil, err
		}
	}
}

// answers returns a problem unless what is kept answers the request.
func (k *kept) answers(mark kept) error {
	switch {
	case k.Fingerprint != mark.Fingerprint:
		return problem.New(problem.IdempotencyReused, "this %s came with another request at %s; take a new one", idempotencyHeader, k.At.Format(time.RFC3339))
	case k.Status == 0:
		return problem.New(problem.IdempotencyBusy, "the same request came at %s and is not answered yet", k.At.Format(time.RFC3339)).After(time.Second)
	}
	return nil
}

// serveOnce has h answer, and keeps the answer before anybody gets it.
func (a *API) serveOnce(w http.ResponseWriter, r *http.Request, t attempt, h http.HandlerFunc, key string, mark kept, revision uint64) {
	answer := &bufferedWriter{ResponseWriter: w}
	// The client may be gone by then; the answer is what it comes back for.
	settle := func(within time.Duration, f func(context.Context) error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), within)
		defer cancel()
		_ = f(ctx) // then it counts as under way, and is done again after abandonedAfter
	}
	forget := func(ctx context.Context) error { return a.cfg.Answers.Delete(ctx, key) }
	panicked := true
	defer func() {
		if panicked {
			settle(forgetTimeout, forget)
		}
	}()
	h(answer, r)
	panicked = false
	mark.Status = answer.status
	switch {
	case answer.status >= http.StatusInternalServerError || answer.status == http.StatusTooManyRequests:
		settle(forgetTimeout, forget)
	default:
		if mark.Withheld = t.secret && answer.status < 300 || answer.body.Len() > maxKeptAnswer; !mark.Withheld {
			mark.Body, mark.Header = answer.body.Bytes(), map[string]string{}
			for _, name := range keptHeaders {
				if v := w.Header().Get(name); v != "" {
					mark.Header[name] = v
				}
			}
		}
		settle(keepTimeout, func(ctx context.Context) error {
			data, err := json.Marshal(mark)
			if err == nil {
				_, err = a.cfg.Answers.Update(ctx, key, data, revision)
			}
			return err
		})
	}
	w.WriteHeader(answer.status)
	_, _ = w.Write(answer.body.Bytes())
}

// bufferedWriter holds an answer back.
type bufferedWriter struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (w *bufferedWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *bufferedWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// Observe passes a problem on.
func (w *bufferedWriter) Observe(p *problem.Problem) {
	if o, ok := w.ResponseWriter.(problem.Observer); ok {
		o.Observe(p)
	}
}

// Unwrap is for http.ResponseController.
func (w *bufferedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
