package load

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/wedsync/wedsync/loadtest/checker"
	"github.com/wedsync/wedsync/loadtest/history"
	"github.com/wedsync/wedsync/loadtest/vendors"
	"github.com/wedsync/wedsync/loadtest/wsclient"
)

// publisher lets the plan's events arrive.
type publisher struct {
	plan  *plan
	truth *truth
	crowd *crowd
	nodes []*node
	sims  *vendors.Set

	seats map[string][]int // clients by channel
}

// answerWithin is longer than a node waits for its log.
const answerWithin = 25 * time.Second

// underWay bounds publishes at once. Whoever waits for a place does so after the intended time, which counts.
const underWay = 4096

// run publishes each event at its time and returns when all were answered. ctx ends what has not begun.
func (p *publisher) run(ctx context.Context) {
	p.seats = map[string][]int{}
	for i, channels := range p.plan.people.channels {
		for _, c := range channels {
			p.seats[c] = append(p.seats[c], i)
		}
	}
	var all sync.WaitGroup
	defer all.Wait()
	places := make(chan struct{}, underWay)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i, a := range p.plan.arrivals {
		timer.Reset(time.Until(p.truth.begun.Add(a.at)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		all.Go(func() {
			defer func() { <-places }()
			p.truth.published(i, p.one(i))
		})
	}
}

// one publishes an event at a node. As a client with several addresses does, it goes on to the next one when it gets
// no connection: nothing was sent then.
func (p *publisher) one(i int) checker.Op {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	a := &p.plan.arrivals[i]
	op := checker.Op{Channel: a.channel, ID: a.id, Client: i, Start: time.Now()}
	var err error
	for k := range p.nodes {
		n := p.nodes[(i+k)%len(p.nodes)]
		op.Node = n.name
		if op.Seq, err = p.send(ctx, n, i, &op); !history.Unsent(err) {
			break
		}
	}
	op.End, op.Outcome = time.Now(), history.Outcome(err)
	if op.Outcome != checker.Accepted {
		p.truth.note(fmt.Sprintf("%s, asked to publish %s, after %v: %v", op.Node, op.ID, op.End.Sub(op.Start).Round(time.Millisecond), err))
	}
	return op
}

func (p *publisher) send(ctx context.Context, n *node, i int, op *checker.Op) (seq uint64, err error) {
	a := &p.plan.arrivals[i]
	body := p.plan.payload(i)
	switch kinds()[a.kind].way {
	case byWebhook:
		in := p.plan.people.integrations[p.plan.people.couples[a.couple].venue]
		from, ok := p.sims.Lookup(in.vendor).(vendors.Sender)
		if !ok {
			return 0, fmt.Errorf("%s sends no webhooks", in.vendor)
		}
		return history.SendWebhook(ctx, from, n.api.URL, "/api/webhooks/"+in.vendor+"/"+in.id, sampled(from, a, p.plan.people.couples[a.couple].id))
	case overWebSocket:
		if seats := p.seats[a.channel]; len(seats) > 0 {
			at := seats[i%len(seats)]
			op.Node = p.crowd.node(at)
			return 0, p.crowd.clients[at].Publish(ctx, a.channel, wsclient.Event{ID: a.id, Type: a.kind, Payload: body})
		}
	case overHTTP:
	}
	var at struct{ Seq uint64 }
	err = n.api.Call(ctx, http.MethodPost, "/api/channels/"+a.channel+"/publish", map[string]any{"id": a.id, "type": a.kind, "payload": json.RawMessage(body)}, &at)
	return at.Seq, err
}

// sampled is the vendor's own webhook of the type, about a couple.
func sampled(from vendors.Sender, a *arrival, couple string) vendors.Webhook {
	for _, w := range from.Webhooks() {
		if w.Type != a.kind {
			continue
		}
		for field, value := range w.Data {
			if value == "cpl_7Qm2x" { // the couple of all samples
				w.Data[field] = couple
			}
		}
		w.ID = a.webhook
		return w
	}
	return vendors.Webhook{ID: a.webhook, Type: a.kind}
}
