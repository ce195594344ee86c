package event

import "strings"

// The places of a traceparent's parts: 00-<32 hex: trace>-<16 hex: span>-<2 hex: flags>, W3C Trace Context 3.2.
const (
	traceParentBytes = 55
	traceStart       = len("00-")
	traceEnd         = traceStart + 32
	spanEnd          = traceEnd + len("-") + 16
)

// TraceID returns the id of the trace that a W3C traceparent names, 32 hex digits; "" where it is malformed,
// which means as much as none. Of a version to come nothing is known here.
func TraceID(traceparent string) string {
	t := traceparent
	if len(t) != traceParentBytes || !strings.HasPrefix(t, "00-") || t[traceEnd] != '-' || t[spanEnd] != '-' {
		return ""
	}
	for i := traceStart; i < len(t); i++ {
		if c := t[i]; i != traceEnd && i != spanEnd && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ""
		}
	}
	if strings.Trim(t[traceStart:traceEnd], "0") == "" || strings.Trim(t[traceEnd+1:spanEnd], "0") == "" {
		return ""
	}
	return t[traceStart:traceEnd]
}
