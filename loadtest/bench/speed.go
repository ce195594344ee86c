package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// webhooks sends signed webhooks at 1,000 a second; the answer comes once the event is durable.
func webhooks(ctx context.Context, b *bench) ([]row, error) {
	n, err := b.start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = n.stop(context.WithoutCancel(ctx)) }()
	err = n.api.Connect(ctx, event.Integration{
		ID: "venue", Vendor: "venuemaster", Settings: json.RawMessage(`{"url":"http://127.0.0.1:1"}`), Channel: "couple:updates:{coupleId}",
		Limits: event.Limits{WebhooksPerHour: 1_000_000},
	}, secrets())
	if err != nil {
		return nil, err
	}
	signer, err := standardwebhooks.NewWebhook(signing)
	if err != nil {
		return nil, err
	}
	send := func(prefix string, count int) (*hdrhistogram.Histogram, error) {
		return atRate(ctx, 1000, count, func(ctx context.Context, i int, _ time.Time) error {
			return n.sendWebhook(ctx, signer, prefix+strconv.Itoa(i))
		})
	}
	if _, err := send("w", 3_000); err != nil { // a warm-up
		return nil, err
	}
	took, err := send("e", 15_000)
	if err != nil {
		return nil, err
	}
	return []row{
		{"webhooks at 1,000/s: due to verified, cleaned and durable, p50", quantile(took, 50).String(), ""},
		{"webhooks at 1,000/s: due to verified, cleaned and durable, p99", quantile(took, 99).String(), "< 10 ms"},
	}, nil
}

func (n *node) sendWebhook(ctx context.Context, signer *standardwebhooks.Webhook, id string) error {
	now := time.Now()
	body := fmt.Sprintf(`{"type":"capacity.changed","timestamp":%q,"data":{"venue_id":"ven_1","client_id":"c7","capacity":90,`+
		`"reason":"<b>Fire inspection</b>: the west door stays closed"}}`, now.UTC().Format(time.RFC3339))
	signature, err := signer.Sign(id, now, []byte(body))
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.api.URL+"/api/webhooks/venuemaster/venue", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = http.Header{
		"Content-Type": {"application/json"}, "Webhook-Id": {id},
		"Webhook-Timestamp": {strconv.FormatInt(now.Unix(), 10)}, "Webhook-Signature": {signature},
	}
	resp, err := n.api.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil { // else the connection is not used again
		return err
	}
	if resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("the webhook %s is answered %d", id, resp.StatusCode)
	}
	return nil
}

// transformation encodes every vendor's samples in this process.
func transformation(context.Context, *bench) ([]row, error) {
	set, err := vendors.StartAll(context.Background(), vendors.Config{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = set.Close() }()
	took := hdrhistogram.New(1, int64(time.Minute), 3) // nanoseconds
	for _, v := range set.All() {
		a, err := adapter.Lookup(v.Name())
		if err != nil {
			return nil, err
		}
		in, secrets := v.Integration(v.Name())
		conn, err := a.Connect(in, secrets)
		if err != nil {
			return nil, err
		}
		samples := a.Describe().Samples
		for i := range 10_000 {
			begun := time.Now()
			if _, err := conn.Encode(&samples[i%len(samples)]); err != nil {
				return nil, err
			}
			if err := took.RecordValue(time.Since(begun).Nanoseconds()); err != nil {
				return nil, err
			}
		}
	}
	return []row{{"an event to a vendor's body, all vendors, p99", time.Duration(took.ValueAtQuantile(99)).String(), "< 1 ms"}}, nil
}

// notification times an event until the photographer's CRM, WhatsApp, Slack and the mail server have it. They
// answer at once, and nothing else is under way.
func notification(ctx context.Context, b *bench) ([]row, error) {
	var taken atomic.Int64
	wake := make(chan struct{}, 1)
	set, err := vendors.StartAll(ctx, vendors.Config{Notify: func(r vendors.Receipt) {
		if r.Taken {
			taken.Add(1)
			select {
			case wake <- struct{}{}:
			default:
			}
		}
	}})
	if err != nil {
		return nil, err
	}
	defer func() { _ = set.Close() }()
	n, err := b.start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = n.stop(context.WithoutCancel(ctx)) }()
	four := []vendors.Vendor{set.StudioCloud, set.WhatsApp, set.Slack, set.Email}
	m := event.Mapping{ID: "four", Pattern: "supplier:dashboard:*"}
	for _, v := range four {
		in, secrets := v.Integration(v.Name())
		in.Limits = event.Limits{PerSecond: 1000, Burst: 1000, PerRecipient: event.Duration(time.Millisecond)} // the vendors' own are not what is measured
		if err := n.api.Connect(ctx, in, secrets); err != nil {
			return nil, err
		}
		m.Targets = append(m.Targets, event.Target{Integration: in.ID})
	}
	if err := n.api.Map(ctx, m); err != nil {
		return nil, err
	}
	const warm, events = 50, 1_000
	took := newHistogram()
	for i := range int64(warm + events) {
		begun := time.Now()
		body := fmt.Sprintf(`{"id":"n%d","type":"timeline.updated","payload":{"coupleId":"c1","ceremonyTime":"2027-06-12T16:00:00+02:00","venue":"Old Mill"}}`, i)
		if err := n.api.Publish(ctx, "supplier:dashboard:42", []byte(body)); err != nil {
			return nil, err
		}
		limit := time.After(10 * time.Second)
		for taken.Load() < (i+1)*int64(len(four)) {
			select {
			case <-wake:
			case <-limit:
				return nil, fmt.Errorf("event %d: only %d of %d calls were taken", i, taken.Load(), (i+1)*int64(len(four)))
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if i < warm {
			continue
		}
		if err := took.RecordValue(time.Since(begun).Microseconds()); err != nil {
			return nil, err
		}
	}
	return []row{{"published until photo CRM, WhatsApp, Slack and mail server have it, p99", quantile(took, 99).String(), "< 100 ms"}}, nil
}

// health asks how 10,000 integrations do.
func health(ctx context.Context, b *bench) ([]row, error) {
	n, err := b.start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = n.stop(context.WithoutCancel(ctx)) }()
	const integrations, rounds = 10_000, 20
	if err := n.connectMany(ctx, integrations, "http://127.0.0.1:1"); err != nil {
		return nil, err
	}
	took := newHistogram()
	for range rounds {
		begun := time.Now()
		text, err := n.api.Send(ctx, http.MethodGet, "/api/integrations/health?limit="+strconv.Itoa(integrations), nil)
		if err != nil {
			return nil, err
		}
		if err := took.RecordValue(time.Since(begun).Microseconds()); err != nil {
			return nil, err
		}
		if got := strings.Count(string(text), `"integration":`); got != integrations {
			return nil, errors.New("the answer has " + strconv.Itoa(got) + " integrations")
		}
	}
	return []row{{"health of 10,000 integrations, in one answer, the slowest of 20", (time.Duration(took.Max()) * time.Microsecond).String(), "< 100 ms"}}, nil
}
