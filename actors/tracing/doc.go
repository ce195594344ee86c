// Package tracing draws the way of an event as one OpenTelemetry trace, a span a hop:
//
//	POST /api/channels/{name}/publish   the request; of a vendor's webhook its address
//	└── publish                         checked, cleaned, in the event log
//	    └── route                       mappings resolved, deliveries in the log
//	        └── deliver                 one try of one integration, up to its record in the log
//	            ├── attempt             the call to the vendor
//	            └── record              on its way into ClickHouse
//
// From hop to hop goes a W3C traceparent and nothing else: as a header, or in the records of the log.
// A hop keeps no span open over time that it only waits, so that whatever node goes on after a crash
// goes on with the same trace.
//
// A nil *Tracer traces nothing and passes on what it is given. The package starts no goroutine; what
// exports spans is the provider's.
package tracing
