package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/problem"
)

// publication is the body of a publish.
type publication struct {
	Type          string          `json:"type" example:"timeline.updated" doc:"Event type: a-z 0-9 . _ and -, beginning with a letter."`
	Payload       json.RawMessage `json:"payload" doc:"An object, at most 256 KiB, 16 deep, with 1000 keys. Markup and control characters are taken out of texts."`
	ID            string          `json:"id,omitempty" maxLength:"128" doc:"Makes it safe to repeat. Default: a new UUIDv7."`
	OccurredAt    string          `json:"occurredAt,omitempty" format:"date-time" doc:"Default: now."`
	CorrelationID string          `json:"correlationId,omitempty" maxLength:"128" doc:"Follows the event through all it causes. Default: its id."`
	WeddingID     string          `json:"weddingId,omitempty" maxLength:"128" doc:"The couple it is about. Default: the payload's weddingId or coupleId."`
}

// publish takes POST /api/channels/{name}/publish.
func (a *API) publish(w http.ResponseWriter, r *http.Request) {
	who, err := a.authenticate(r)
	if err == nil {
		err = allow(who, access.ChannelsPublish)
	}
	if err == nil {
		err = reachChannel(who, r.PathValue("name"))
	}
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	if key, given := idempotencyKey(r); given {
		a.once(w, r, attempt{who: who, key: key}, func(w http.ResponseWriter, r *http.Request) { a.publishAs(who, w, r) })
		return
	}
	a.publishAs(who, w, r)
}

func (a *API) publishAs(who *access.Caller, w http.ResponseWriter, r *http.Request) {
	sender := who.Actor()
	if who.Has(access.Admin) {
		sender = "" // may fill the log as fast as it takes it
	}
	receipt, err := a.publishOne(w, r, sender)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	w.Header()["Content-Type"] = []string{"application/json"}
	if receipt.Duplicate {
		w.WriteHeader(http.StatusOK)
	} else {
		w.WriteHeader(http.StatusAccepted)
	}
	_, _ = w.Write(appendReceipt(make([]byte, 0, 192), receipt))
}

func (a *API) publishOne(w http.ResponseWriter, r *http.Request, sender string) (ingest.Receipt, error) {
	body, err := problem.ReadBody(w, r, int64(a.limits.Bytes))
	if err != nil {
		return ingest.Receipt{}, err
	}
	p, err := decodePublication(body, a.limits)
	if err != nil {
		return ingest.Receipt{}, err
	}
	var at time.Time
	if p.OccurredAt != "" {
		if at, err = time.Parse(time.RFC3339, p.OccurredAt); err != nil {
			return ingest.Receipt{}, problem.New(problem.FieldInvalid, "occurredAt %.60q is no RFC 3339 time", p.OccurredAt)
		}
	}
	return a.cfg.Publisher.Publish(r.Context(), ingest.Draft{
		Channel: r.PathValue("name"), Type: p.Type, Payload: p.Payload, ID: p.ID, OccurredAt: at,
		Source: "api", Sender: sender, CorrelationID: p.CorrelationID, TraceParent: r.Header.Get(problem.TraceHeader), WeddingID: p.WeddingID,
	})
}

func decodePublication(body []byte, limits ingest.Limits) (*publication, error) {
	if err := ingest.CheckObject(body, limits); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	p := &publication{}
	if err := d.Decode(p); err != nil {
		return nil, publicationProblem(err)
	}
	if len(p.Payload) == 0 {
		return nil, problem.New(problem.FieldInvalid, "payload is missing")
	}
	return p, nil
}

// publicationProblem words what encoding/json found wrong in an object that is well-formed.
func publicationProblem(err error) *problem.Problem {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return problem.New(problem.FieldInvalid, "%s cannot be a %s; it must be a text", kind.Field, kind.Value)
	}
	return problem.New(problem.FieldInvalid, "%v; known are type, payload, id, occurredAt, correlationId and weddingId", err)
}

// appendReceipt writes a receipt. Its id is made of characters that JSON takes as they are.
func appendReceipt(b []byte, r ingest.Receipt) []byte {
	b = append(b, `{"id":"`...)
	b = append(b, r.ID...)
	b = append(b, `","seq":`...)
	b = strconv.AppendUint(b, r.Seq, 10)
	if r.Duplicate {
		b = append(b, `,"duplicate":true`...)
	}
	return append(b, '}', '\n')
}
