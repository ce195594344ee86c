package admin

import (
	"encoding/json"
	"net/url"

	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/problem"
)

func (a *Admin) routeDelivery(s *site) {
	s.page(page{path: "/admin/delivery/{id}", under: home, scope: access.DeliveriesRead, show: a.delivery})
}

// deliveryURL is where all of a delivery is shown.
func deliveryURL(id string) string { return "/admin/delivery/" + url.PathEscape(id) }

// deliveryView is a delivery with its calls, and what was sent.
type deliveryView struct {
	api.Delivered
	first analytics.AttemptRow // what all rows have in common
	sent  previewView
}

func (a *Admin) delivery(v *visit) (screen, error) {
	found, err := v.Delivery(v.Context(), v.PathValue("id"))
	if err != nil {
		return screen{}, err
	}
	d := deliveryView{Delivered: found}
	switch {
	case len(found.Attempts) > 0:
		d.first = found.Attempts[0]
	case len(found.Ends) > 0:
		end := found.Ends[0]
		d.first = analytics.AttemptRow{
			EventID: end.EventID, EventType: end.EventType, Channel: end.Channel, Integration: end.Integration, Vendor: end.Vendor,
		}
	}
	d.sent = v.sent(&d.first)
	return screen{title: d.first.EventType, body: deliveryBody(v, &d)}, nil
}

// lookBack is how many of a channel's newest events are looked through for the one that was delivered.
const lookBack = 1000

// sent finds the event of a delivery, and what it becomes for the integration now.
func (v *visit) sent(first *analytics.AttemptRow) previewView {
	if !v.mayPreview() {
		return previewView{why: notPreviewed}
	}
	events, err := v.History(v.Context(), first.Channel, lookBack)
	if err != nil {
		return previewView{why: problem.Of(err).Detail}
	}
	for _, e := range events {
		var head struct{ ID string }
		if json.Unmarshal(e.Event, &head) == nil && head.ID == first.EventID {
			return v.previewOf(first.Integration, first.Channel, e.Seq)
		}
	}
	return previewView{why: "The event is older than what the log keeps of its channel, so what was sent is not shown."}
}
