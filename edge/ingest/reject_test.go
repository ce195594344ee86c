package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/problem"
)

func TestPayloadsRefused(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for _, c := range []struct{ name, payload, code, says string }{
		{"empty", ``, problem.JSONMalformed, "ends"},
		{"white space", ` `, problem.JSONMalformed, "ends"},
		{"not closed", `{"a":1`, problem.JSONMalformed, `"," or "}"`},
		{"trailing comma", `{"a":1,}`, problem.JSONMalformed, "key in quotes"},
		{"no colon", `{"a" 1}`, problem.JSONMalformed, `":"`},
		{"no value", `{"a":}`, problem.JSONMalformed, "value is expected"},
		{"single quotes", `{'a':1}`, problem.JSONMalformed, "key in quotes"},
		{"comment", `{"a":1/*x*/}`, problem.JSONMalformed, `"," or "}"`},
		{"array not closed", `{"a":[1 2]}`, problem.JSONMalformed, `"," or "]"`},
		{"nearly true", `{"a":tru}`, problem.JSONMalformed, "true"},
		{"nearly false", `{"a":f}`, problem.JSONMalformed, "false"},
		{"nearly null", `{"a":nil}`, problem.JSONMalformed, "null"},
		{"NaN", `{"a":NaN}`, problem.JSONMalformed, "value is expected"},
		{"leading zero", `{"a":01}`, problem.JSONMalformed, `","`},
		{"leading plus", `{"a":+1}`, problem.JSONMalformed, "value is expected"},
		{"only minus", `{"a":-}`, problem.JSONMalformed, "digit"},
		{"no fraction", `{"a":1.}`, problem.JSONMalformed, "point"},
		{"no exponent", `{"a":1e}`, problem.JSONMalformed, "exponent"},
		{"a second value", `{} {}`, problem.JSONMalformed, "more after"},
		{"byte order mark", "\ufeff{}", problem.JSONMalformed, "value is expected"},
		{"raw line feed", "{\"a\":\"x\ny\"}", problem.JSONMalformed, "control character"},
		{"unknown escape", `{"a":"\x41"}`, problem.JSONMalformed, "escape"},
		{"short unicode escape", `{"a":"\u12g4"}`, problem.JSONMalformed, "escape"},
		{"cut escape", `{"a":"\`, problem.JSONMalformed, "escape"},
		{"cut string", `{"a":"x`, problem.JSONMalformed, "within a string"},
		{"latin 1", "{\"a\":\"caf\xe9\"}", problem.UTF8Invalid, "0xe9"},
		{"latin 1 in a key", "{\"caf\xe9\":1}", problem.UTF8Invalid, "0xe9"},
		{"surrogate in UTF-8", "{\"a\":\"\xed\xa0\x80\"}", problem.UTF8Invalid, "UTF-8"},
		{"overlong", "{\"a\":\"\xc0\xbc\"}", problem.UTF8Invalid, "UTF-8"},
		{"array", `[{"a":1}]`, problem.PayloadNotObject, "an array"},
		{"string", `"x"`, problem.PayloadNotObject, "a string"},
		{"number", ` 12`, problem.PayloadNotObject, "a number"},
		{"boolean", `true`, problem.PayloadNotObject, "a boolean"},
		{"null", `null`, problem.PayloadNotObject, "null"},
		{"malformed array", `[1`, problem.JSONMalformed, `"]"`},
		{"17 deep", deep(17), problem.PayloadTooDeep, "more than 16"},
		{"deep arrays", `{"a":` + strings.Repeat("[", 5000), problem.PayloadTooDeep, "more than 16"},
		{"1001 keys", manyKeys(1001), problem.PayloadTooWide, "1000 keys"},
		{"10,001 elements", `{"a":[` + strings.Repeat("1,", 10_000) + `1]}`, problem.TooManyElements, "10000 array elements"},
		{"long key", `{"` + strings.Repeat("k", 257) + `":1}`, problem.KeyTooLong, "a key has 257 bytes"},
		{"long string", `{"a":"` + strings.Repeat("x", 64<<10+1) + `"}`, problem.StringTooLong, "a string has 65537 bytes"},
		{"long number", `{"a":1` + strings.Repeat("0", 128) + `}`, problem.NumberTooLong, "a number has 129 characters"},
		{"same key twice", `{"a":1,"b":{"a":2},"a":3}`, problem.DuplicateKey, `"a"`},
		{"same key, escaped", `{"a":1,"\u0061":3}`, problem.DuplicateKey, `"a"`},
		{"same key once cleaned", `{"a":1,"<b>a":3}`, problem.DuplicateKey, `"a"`},
		{"same key among many", strings.TrimSuffix(manyKeys(200), "}") + `,"keya":1}`, problem.DuplicateKey, `"keya"`},
		{"key of nothing", `{"<script>":1}`, problem.PayloadKeyInvalid, "<script>"},
		{"256 KiB and a byte", `{"a":"` + strings.Repeat("x", 256<<10) + `"}`, problem.PayloadTooLarge, "at most 262144"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			refused(t, draft(c.payload), c.code, c.says)
		})
	}
	if got := through(t, deep(16)); got != deep(16) {
		t.Error("16 deep is allowed")
	}
	through(t, manyKeys(1000))
}

func TestDraftsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		change     func(*ingest.Draft)
		code, says string
	}{
		{"no channel", func(d *ingest.Draft) { d.Channel = "" }, problem.ChannelInvalid, "empty"},
		{"bad channel", func(d *ingest.Draft) { d.Channel = "a:b c" }, problem.ChannelInvalid, `" "`},
		{"empty segment", func(d *ingest.Draft) { d.Channel = "a::b" }, problem.ChannelInvalid, "empty"},
		{"wildcard", func(d *ingest.Draft) { d.Channel = "supplier:*" }, problem.ChannelWildcard, "wildcards"},
		{"rest wildcard", func(d *ingest.Draft) { d.Channel = "supplier:**" }, problem.ChannelWildcard, "wildcards"},
		{"capture", func(d *ingest.Draft) { d.Channel = "supplier:{id}" }, problem.ChannelWildcard, "wildcards"},
		{"health of an integration", func(d *ingest.Draft) { d.Channel = "integration:health:a" }, problem.ChannelReserved, "integration:health:a"},
		{"burn of a vendor", func(d *ingest.Draft) { d.Channel, d.Source = "slo:burn:slack", "api" }, problem.ChannelReserved, "slo:burn:slack"},
		{"no type", func(d *ingest.Draft) { d.Type = "" }, problem.TypeInvalid, "1 to 64"},
		{"bad type", func(d *ingest.Draft) { d.Type = "Timeline Updated" }, problem.TypeInvalid, "timeline.updated"},
		{"bad id", func(d *ingest.Draft) { d.ID = "a b" }, problem.IDInvalid, `"a b"`},
		{"long id", func(d *ingest.Draft) { d.ID = strings.Repeat("a", 129) }, problem.IDInvalid, "128"},
		{"long ago", func(d *ingest.Draft) { d.OccurredAt = time.Unix(1_000_000, 0) }, problem.OccurredAtInvalid, "1970-01-12"},
		{"far ahead", func(d *ingest.Draft) { d.OccurredAt = noon.Add(25 * time.Hour) }, problem.OccurredAtInvalid, "ahead"},
		{"bad correlation", func(d *ingest.Draft) { d.CorrelationID = "a\nb" }, problem.ContextInvalid, "correlationId"},
		{"bad wedding", func(d *ingest.Draft) { d.WeddingID = "<b>" }, problem.ContextInvalid, "weddingId"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := draft(`{}`)
			c.change(&d)
			refused(t, d, c.code, c.says)
		})
	}
}

func refused(t *testing.T, d ingest.Draft, code, says string) {
	t.Helper()
	log, reg := &memoryLog{}, prometheus.NewRegistry()
	_, err := newIngest(t, ingest.Config{Log: log, Metrics: reg}).Publish(t.Context(), d)
	var rej *ingest.Reject
	if !errors.As(err, &rej) {
		t.Fatalf("got %v, want a Reject", err)
	}
	if rej.Code != code || rej.Status != problem.Status(code) || !strings.Contains(rej.Detail, says) {
		t.Errorf("got %d %v, want %s saying %q", rej.Status, rej, code, says)
	}
	if len(rej.Detail) > 600 {
		t.Errorf("the detail has %d bytes", len(rej.Detail))
	}
	if n := len(log.all()); n != 0 {
		t.Errorf("%d events were appended", n)
	}
	if n := counted(t, reg, code); n != 1 {
		t.Errorf("the metric counts %v", n)
	}
}

// counted returns wedsync_ingest_events_total of that result.
func counted(t *testing.T, reg prometheus.Gatherer, result string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "wedsync_ingest_events_total" && m.GetLabel()[0].GetValue() == result {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func TestLogErrors(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		err   error
		ctx   context.Context
		code  string
		again bool
	}{
		{journal.ErrFull, t.Context(), problem.LogFull, true},
		{journal.ErrUnavailable, t.Context(), problem.LogUnavailable, true},
		{context.Canceled, gone, problem.LogUnavailable, true},
		{journal.ErrClosed, t.Context(), problem.ShuttingDown, true},
		{journal.ErrTooLarge, t.Context(), problem.PayloadTooLarge, false},
		{errors.New("odd"), t.Context(), problem.Internal, false},
	} {
		in := newIngest(t, ingest.Config{Log: &memoryLog{err: fmt.Errorf("append: %w", c.err)}})
		_, err := in.Publish(c.ctx, draft(`{}`))
		var rej *ingest.Reject
		if !errors.As(err, &rej) || rej.Code != c.code || rej.RetryAfter > 0 != c.again || !errors.Is(err, c.err) {
			t.Errorf("%v gave %#v, want %s", c.err, err, c.code)
		}
		if strings.Contains(rej.Detail, "odd") {
			t.Errorf("the sender is told %q", rej.Detail)
		}
	}
}

func TestLimitsAreChecked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg  ingest.Config
		says string
	}{
		{ingest.Config{}, "Log"},
		{ingest.Config{Log: nowhere{}, Limits: ingest.Limits{Depth: -1}}, "Limits.Depth"},
		{ingest.Config{Log: nowhere{}, Limits: ingest.Limits{Bytes: event.MaxPayloadBytes + 1}}, "Limits.Bytes"},
	} {
		if _, err := ingest.New(c.cfg); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("got %v, want an error about %s", err, c.says)
		}
	}
	reg := prometheus.NewRegistry()
	newIngest(t, ingest.Config{Log: nowhere{}, Metrics: reg})
	if _, err := ingest.New(ingest.Config{Log: nowhere{}, Metrics: reg}); err == nil {
		t.Error("metrics registered twice")
	}
}

// A sender that has published as much as it may is told when to go on; others, and those without a rate, go on.
func TestPace(t *testing.T) {
	t.Parallel()
	now, reg := noon, prometheus.NewRegistry()
	in := newIngest(t, ingest.Config{Log: nowhere{}, Metrics: reg, PerSecond: 2, Now: func() time.Time { return now }})
	publish := func(sender string) error {
		d := draft(`{}`)
		d.Sender = sender
		_, err := in.Publish(t.Context(), d)
		return err
	}
	for i, c := range []struct {
		sender string
		after  time.Duration
		taken  bool
	}{
		{"a", 0, true},
		{"a", 0, true},
		{"a", 0, false},
		{"b", 0, true},
		{"", 0, true},
		{"", 0, true},
		{"", 0, true},
		{"a", 499 * time.Millisecond, false},
		{"a", time.Millisecond, true},
		{"a", 0, false},
	} {
		now = now.Add(c.after)
		err := publish(c.sender)
		var rej *ingest.Reject
		if c.taken && err != nil || !c.taken && (!errors.As(err, &rej) || rej.Code != problem.PublishLimited || rej.Status != 429 || rej.RetryAfter <= 0 || !strings.Contains(rej.Detail, "the 2 events a second")) {
			t.Errorf("%d, of %q: %v, want taken %v", i, c.sender, err, c.taken)
		}
	}
	if n := counted(t, reg, problem.PublishLimited); n != 3 {
		t.Errorf("the metric counts %v", n)
	}
	if _, err := ingest.New(ingest.Config{Log: nowhere{}, PerSecond: -1}); err == nil || !strings.Contains(err.Error(), "PerSecond") {
		t.Errorf("got %v", err)
	}
}
