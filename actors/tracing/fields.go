package tracing

import (
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"

	"github.com/wedsync/wedsync/actors/event"
)

// Attributes of spans. Those that are ours are called as the fields of the log; of HTTP they are those of
// OpenTelemetry's semantic conventions, as are error.type and server.address.
const (
	EventID     = attribute.Key("wedsync.event_id")
	EventType   = attribute.Key("wedsync.event_type")
	EventSource = attribute.Key("wedsync.source")
	Channel     = attribute.Key("wedsync.channel")
	DeliveryID  = attribute.Key("wedsync.delivery_id")
	Deliveries  = attribute.Key("wedsync.deliveries") // that routing led to
	Integration = attribute.Key("wedsync.integration")
	Vendor      = attribute.Key("wedsync.vendor")
	Attempt     = attribute.Key("wedsync.attempt")
	Verdict     = attribute.Key("wedsync.verdict")
	Duplicate   = attribute.Key("wedsync.duplicate") // the log had that event
	RequestID   = attribute.Key("wedsync.request_id")
	Records     = attribute.Key("wedsync.records") // of the batch
	ErrorType   = attribute.Key("error.type")
	Method      = attribute.Key("http.request.method")
	Route       = attribute.Key("http.route")
	Status      = attribute.Key("http.response.status_code")
)

// Log is a traceparent that puts its trace's id into a line of the log, as trace_id.
type Log string

// MarshalZerologObject implements zerolog.LogObjectMarshaler.
func (l Log) MarshalZerologObject(e *zerolog.Event) {
	if id := event.TraceID(string(l)); id != "" {
		e.Str("trace_id", id)
	}
}
