package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

type deliveriesInput struct {
	Channel     string        `query:"channel" doc:"Only those of events on this channel."`
	Integration string        `query:"integration" doc:"Only those to this integration."`
	EventID     string        `query:"eventId" doc:"Only those of this event."`
	WeddingID   string        `query:"weddingId" doc:"Only those about this wedding."`
	EventType   string        `query:"eventType" doc:"Only those of events of this type."`
	Vendor      string        `query:"vendor" doc:"Only those to this vendor."`
	Category    string        `query:"category" doc:"Only those to vendors of this category."`
	Reason      string        `query:"reason" doc:"Only those that ended with this reason, such as http_422."`
	SlowerThan  string        `query:"slowerThan" doc:"Only those with a longer latency, such as 5s."`
	Outcome     event.Outcome `query:"outcome" enum:"delivered,dead,skipped" doc:"Only those that ended so."`
	Paging
}

type deliveryInput struct {
	ID string `path:"id" doc:"The delivery, dlv_ and 32 hex digits."`
}

// traced is all that is known of a delivery.
type traced struct {
	ID       string                  `json:"id"`
	Ends     []analytics.DeliveryRow `json:"ends" nullable:"false" doc:"How it ended, the latest replay first; none while it goes on."`
	Attempts []analytics.AttemptRow  `json:"attempts" nullable:"false" doc:"The calls that were made, in order."`
	Receipts []analytics.ReceiptRow  `json:"receipts" nullable:"false" doc:"What the vendor says became of the message: sent, delivered, read or failed, each once, in order; none where it says nothing."`
}

func (a *API) routeDeliveries(h huma.API) {
	tags := []string{"deliveries"}
	handle(h, huma.Operation{
		OperationID: "find-deliveries", Method: http.MethodGet, Path: "/api/deliveries", Tags: tags, Security: needs(access.DeliveriesRead),
		Summary: "Find deliveries that ended, the latest first", Description: lagging + " One that was replayed is there once for each end.",
	}, a.findDeliveries)
	handle(h, huma.Operation{
		OperationID: "get-delivery", Method: http.MethodGet, Path: "/api/deliveries/{id}", Tags: tags, Security: needs(access.DeliveriesRead),
		Summary: "Show a delivery with every attempt and receipt", Description: lagging,
	}, a.getDelivery)
}

func (a *API) findDeliveries(ctx context.Context, in *deliveriesInput) (*body[page[analytics.DeliveryRow]], error) {
	s, err := a.store()
	if err != nil {
		return nil, err
	}
	q := analytics.DeliveryQuery{
		Channel: in.Channel, Integration: in.Integration, EventID: in.EventID, WeddingID: in.WeddingID, Outcome: in.Outcome,
		EventType: in.EventType, Vendor: in.Vendor, Category: in.Category, Reason: in.Reason,
		Among: a.own(callerOf(ctx)),
	}
	if q.Page, err = a.pageOf(in.Paging); err != nil {
		return nil, err
	}
	if in.SlowerThan != "" {
		if q.SlowerThan, err = time.ParseDuration(in.SlowerThan); err != nil || q.SlowerThan <= 0 {
			return nil, problem.New(problem.FieldInvalid, "slowerThan %.60q is no duration such as 5s", in.SlowerThan)
		}
	}
	rows, next, err := s.Deliveries(ctx, q)
	if err != nil {
		return nil, analyticsFailed(err)
	}
	return &body[page[analytics.DeliveryRow]]{page[analytics.DeliveryRow]{rows, next.String()}}, nil
}

func (a *API) getDelivery(ctx context.Context, in *deliveryInput) (*body[traced], error) {
	s, err := a.store()
	if err != nil {
		return nil, err
	}
	out := traced{ID: in.ID}
	if out.Ends, _, err = s.Deliveries(ctx, analytics.DeliveryQuery{ID: in.ID, Page: analytics.Page{Limit: analytics.MaxFound}}); err != nil {
		return nil, analyticsFailed(err)
	}
	if out.Attempts, err = s.Attempts(ctx, in.ID); err != nil {
		return nil, analyticsFailed(err)
	}
	var integration string // an id's hash is of one
	switch {
	case len(out.Ends) > 0:
		integration = out.Ends[0].Integration
	case len(out.Attempts) > 0:
		integration = out.Attempts[0].Integration
	}
	if integration == "" || !a.reachable(callerOf(ctx), integration) {
		return nil, problem.New(problem.DeliveryUnknown, "nothing is recorded of a delivery %.80q; it may be under way, or a second old", in.ID)
	}
	if out.Receipts, err = s.Receipts(ctx, in.ID); err != nil {
		return nil, analyticsFailed(err)
	}
	out.Attempts = append([]analytics.AttemptRow{}, out.Attempts...)
	out.Receipts = append([]analytics.ReceiptRow{}, out.Receipts...)
	for i := range out.Attempts {
		a.maskTexts(integration, &out.Attempts[i].Detail)
	}
	for i := range out.Receipts {
		a.maskTexts(integration, &out.Receipts[i].Detail)
	}
	return &body[traced]{out}, nil
}
