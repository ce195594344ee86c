package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/problem"
)

// Handler serves the webhook addresses. It is safe for concurrent use.
type Handler struct {
	cfg      Config
	metrics  metrics
	budgets  *budgets
	refusals *refusals
	perHour  map[string]int // by vendor, where it has a limit of its own
	limits   ingest.Limits  // of a webhook's body
	channel  ingest.Limits  // of a channel event's body
}

// Bounds on a webhook's body, before it is taken apart. Batches are wide; nothing that a vendor sends is
// half as deep.
const (
	maxDepth    = 24
	maxKeys     = 100_000
	maxElements = 100_000
)

// New returns a handler, which Close ends, or an error that names what is wrong with the configuration.
func New(cfg Config) (*Handler, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, fmt.Errorf("webhook: metrics: %w", err)
	}
	b, err := newBudgets(cfg.Peers, cfg.Now)
	if err != nil {
		return nil, err
	}
	h := &Handler{
		cfg: cfg, metrics: m,
		budgets:  b,
		refusals: newRefusals(cfg.RefusalsPerMinute),
		perHour:  map[string]int{},
		limits:   ingest.Limits{Bytes: cfg.MaxBytes, Depth: maxDepth, Keys: maxKeys, Elements: maxElements},
		channel:  ingest.Limits{}.Around(),
	}
	h.limits = h.limits.WithDefaults()
	for _, vendor := range adapter.Vendors() {
		if a, err := adapter.Lookup(vendor); err == nil {
			h.perHour[vendor] = a.Describe().Limits.WebhooksPerHour
		}
	}
	return h, nil
}

// Close has the other nodes know of all that was counted here, and hears no more of them. No webhook may come
// afterwards. It need not be called where there are no Peers.
func (h *Handler) Close() { h.budgets.close() }

// Mount puts the addresses into the mux.
func (h *Handler) Mount(mux *http.ServeMux) {
	mux.HandleFunc("POST /api/webhooks/channel-events", h.serve(h.channelEvent))
	mux.HandleFunc("POST /api/webhooks/{vendor}/{integrationId}", h.serve(h.webhook))
	mux.HandleFunc("GET /api/webhooks/{vendor}/{integrationId}", h.serve(h.handshake))
}

// call is one webhook on its way through the steps.
type call struct {
	r        *http.Request
	w        http.ResponseWriter
	action   string            // for the audit
	vendor   string            // "" until it is known to be one
	id       string            // the integration's; "" until it can be one
	owner    map[string]string // the integration's, when it is known
	from     netip.Addr
	now      time.Time
	verified bool // the signature was good: what follows is the integration's own
}

// answer is what a call that was taken is answered.
type answer struct {
	Duplicate bool             `json:"duplicate,omitempty"` // all of it was known before, and nothing was applied
	Events    []ingest.Receipt `json:"events"`
	Refused   []refused        `json:"refused,omitempty"` // messages that cannot become events; others did

	reply []byte // stands in for all that
}

type refused struct {
	Message int    `json:"message"` // its place in the webhook, from 0
	Code    string `json:"code"`
	Detail  string `json:"detail"`
}

// serve runs the steps and does once what belongs to each outcome: answer, metric, audit.
func (h *Handler) serve(steps func(context.Context, *call) (*answer, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		c := &call{r: r, w: w, from: h.cfg.Source(r), now: h.cfg.Now()}
		ctx, cancel := context.WithTimeout(r.Context(), h.cfg.Timeout)
		defer cancel()
		a, err := steps(ctx, c)
		if err != nil {
			h.refuse(c, err)
			return
		}
		verdict := "ok"
		if a.Duplicate {
			verdict = "duplicate"
		}
		h.metrics.taken(c.vendor, verdict, time.Since(start))
		h.audit(c, verdict, a.summary())
		a.write(w)
	}
}

func (h *Handler) refuse(c *call, err error) {
	p := problem.Of(err)
	audited := true
	if !c.verified {
		p, audited = h.refusals.note(c.from, c.now, p)
	}
	h.metrics.verdicts.WithLabelValues(c.vendor, p.Code).Inc()
	if audited {
		h.audit(c, p.Code, auditDetail(c, p))
	}
	problem.Write(c.w, c.r, p)
}

func (h *Handler) audit(c *call, outcome, detail string) {
	a := event.Audit{At: c.now, Actor: "anonymous", Action: c.action, Target: c.id, Outcome: outcome, Detail: detail, Owner: c.owner}
	if c.verified {
		a.Actor = "webhook:" + c.id
	}
	if c.from.IsValid() {
		a.From = c.from.String()
	}
	h.cfg.Auditor.Audit(a)
}

// auditDetail is the problem's detail where that cannot hold anything of a payload, which audit
// records must not; else what leads to the request.
func auditDetail(c *call, p *problem.Problem) string {
	switch p.Code {
	case problem.VendorUnknown, problem.VendorMismatch, problem.IntegrationUnknown, problem.IntegrationUnnamed,
		problem.IntegrationDisabled, problem.IntegrationBroken, problem.NotAReceiver, problem.NoHandshake,
		problem.SignatureMissing, problem.SignatureInvalid, problem.TimestampOld, problem.ChannelUnset,
		problem.BodyTooLarge, problem.TooManyMessages, problem.RateLimited, problem.RefusalsLimited, problem.LogFull, problem.LogUnavailable:
		return p.Detail
	}
	return "request " + c.w.Header().Get(problem.RequestIDHeader)
}

func (a *answer) summary() string {
	if len(a.Events) == 1 {
		return a.Events[0].ID
	}
	return fmt.Sprintf("%d events", len(a.Events))
}

func (a *answer) write(w http.ResponseWriter) {
	h := w.Header()
	if a.reply != nil {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		if json.Valid(a.reply) {
			h.Set("Content-Type", "application/json")
		}
		_, _ = w.Write(a.reply)
		return
	}
	h.Set("Content-Type", "application/json")
	if a.Duplicate {
		w.WriteHeader(http.StatusOK)
	} else {
		w.WriteHeader(http.StatusAccepted)
	}
	_ = json.NewEncoder(w).Encode(a)
}

// party returns the integration that the call is for, known and enabled, and its connection.
func (h *Handler) party(c *call, id string) (event.Integration, adapter.Connection, error) {
	none := event.Integration{}
	if event.CheckID(id) != nil {
		return none, nil, problem.New(problem.IntegrationUnknown, "there is no integration %.80q", id)
	}
	c.id = id
	p, ok := h.cfg.Directory.Find(id)
	c.owner = p.Integration.Owner
	switch {
	case !ok:
		return none, nil, problem.New(problem.IntegrationUnknown, "there is no integration %q", id)
	case c.vendor != "" && p.Integration.Vendor != c.vendor:
		return none, nil, problem.New(problem.VendorMismatch, "the integration %q is not one with %s", id, c.vendor)
	case p.Integration.Disabled:
		return none, nil, problem.New(problem.IntegrationDisabled, "the integration %q is disabled; an admin can enable it", id)
	}
	c.vendor = p.Integration.Vendor
	conn, err := p.Connection()
	if err != nil {
		return none, nil, problem.New(problem.IntegrationBroken,
			"the integration %q cannot verify anything until an admin completes it", id).After(time.Minute).Because(err)
	}
	return p.Integration, conn, nil
}

// verifyFailed is the problem of what Verify or Handshake returned.
func verifyFailed(err error) error {
	var bad *adapter.VerifyError
	if errors.As(err, &bad) {
		return problem.New(bad.Code, "%s", bad.Reason)
	}
	return fmt.Errorf("webhook: verify: %w", err)
}
