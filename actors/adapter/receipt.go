package adapter

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"github.com/wedsync/wedsync/actors/event"
)

// statusPayload is the payload of delivery.status.
type statusPayload struct {
	Vendor     string        `json:"vendor"`
	Status     string        `json:"status"` // sent, delivered, read or failed
	MessageID  string        `json:"messageId"`
	Recipient  string        `json:"recipient"`
	DeliveryID string        `json:"deliveryId,omitempty"`
	Errors     []statusError `json:"errors,omitempty"`
}

type statusError struct {
	Code   int    `json:"code"`
	Detail string `json:"detail"`
}

// deliveryID is the form of event.DeliveryID.
var deliveryID = regexp.MustCompile(`^dlv_[0-9a-f]{32}$`)

// ReceiptOf returns what an event, that a vendor's webhook became, says of a delivery; false where it
// says nothing of one. Its Vendor is not set. The message's id and its recipient stay in the event:
// both tell who it is.
func ReceiptOf(ev *event.Event) (event.Receipt, bool) {
	integration, ok := strings.CutPrefix(ev.Source, event.WebhookSource)
	if !ok || ev.Type != TypeDeliveryStatus {
		return event.Receipt{}, false
	}
	var p statusPayload
	if json.Unmarshal(ev.Payload, &p) != nil || !deliveryID.MatchString(p.DeliveryID) {
		return event.Receipt{}, false
	}
	r := event.Receipt{
		DeliveryID: p.DeliveryID, Integration: integration, EventID: ev.ID, Status: event.ReceiptStatus(p.Status), At: ev.OccurredAt,
	}
	switch r.Status {
	case event.ReceiptSent, event.ReceiptDelivered, event.ReceiptRead, event.ReceiptFailed:
	default:
		return event.Receipt{}, false
	}
	if len(p.Errors) > 0 {
		r.Reason, r.Detail = strconv.Itoa(p.Errors[0].Code), detail(p.Errors[0].Detail)
	}
	return r, true
}
