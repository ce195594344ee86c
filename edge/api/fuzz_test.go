package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/problem"
)

// FuzzPublish: whatever the body is, the answer is a problem with a code and nothing is published, or
// what is published is what the body says.
func FuzzPublish(f *testing.F) {
	for _, s := range []string{
		`{"type":"a.b","payload":{"a":1},"id":"x","occurredAt":"2026-06-20T15:00:00+02:00","correlationId":"c","weddingId":"w"}`,
		`{"TYPE":"a.b","type":"c.d","payload":[]}`, `{"type":1,"payload":null}`, `{"payload":{}}`, `[`, ``,
	} {
		f.Add([]byte(s))
	}
	n := start(f, nil)
	c := &collector{}
	a, err := api.New(api.Config{
		Keys: n.keys, Answers: n.answers, Publisher: c, History: n.journal, Members: cluster.NewSolo("n1"), Drain: drained, Dead: n.journal, Integrations: n.registry, Controls: n.registry,
		Mappings: n.registry, Engine: n.engine, Auditor: n,
	})
	must(f, err)
	mux := http.NewServeMux()
	a.Mount(mux)
	f.Fuzz(func(t *testing.T, body []byte) {
		c.drafts = nil
		r := httptest.NewRequest(http.MethodPost, publishPath, bytes.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+apiKey)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if w.Code != http.StatusAccepted {
			var p problem.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Code == "" || p.Status != w.Code || w.Code >= 500 || len(c.drafts) > 0 {
				t.Fatalf("%q is answered %d %s", body, w.Code, w.Body)
			}
			return
		}
		var said struct {
			Type, ID string
			Payload  json.RawMessage
		}
		if err := json.Unmarshal(body, &said); err != nil {
			t.Fatalf("%q is taken: %v", body, err)
		}
		d := c.drafts[0]
		if d.Type != said.Type || d.ID != said.ID || !bytes.Equal(d.Payload, said.Payload) || d.Channel != "supplier:dashboard:42" || d.Source != "api" {
			t.Fatalf("%q became %+v", body, d)
		}
	})
}

type collector struct{ drafts []ingest.Draft }

func (c *collector) Prepare(ingest.Draft) (*event.Event, error) { return &event.Event{}, nil }

func (c *collector) Publish(_ context.Context, d ingest.Draft) (ingest.Receipt, error) {
	if event.CheckType(d.Type) != nil {
		return ingest.Receipt{}, problem.New(problem.TypeInvalid, "no")
	}
	c.drafts = append(c.drafts, d)
	return ingest.Receipt{ID: "x", Seq: 1}, nil
}
