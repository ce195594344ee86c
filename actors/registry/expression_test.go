package registry_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
)

// eventOf returns an event on supplier:dashboard:42 with that payload.
func eventOf(payload string) *event.Event {
	return &event.Event{
		V: event.Version, ID: "e1", Channel: "supplier:dashboard:42", Type: "timeline.updated", Payload: []byte(payload),
		OccurredAt: time.Date(2027, 6, 12, 14, 30, 0, 0, time.UTC), Source: "api", WeddingID: "w1", Seq: 7,
	}
}

// mapped returns a mapping of those events to one studio.
func mapped(id, when string, fields map[string]string) event.Mapping {
	return event.Mapping{
		ID: id, Pattern: "supplier:dashboard:{supplierId}", Targets: []event.Target{{Integration: "s"}}, When: when, Fields: fields,
	}
}

// try evaluates a mapping for an event without storing it: delivered reports whether its condition holds.
func try(tb testing.TB, r *registry.Registry, m event.Mapping, ev *event.Event) (out *event.Event, delivered bool, err error) {
	tb.Helper()
	trial, err := r.Try(m)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	matches := trial.Resolve(ev)
	if len(matches) == 0 {
		return nil, false, nil
	}
	out, err = matches[0].Event(ev)
	return out, true, err
}

func TestConditions(t *testing.T) {
	t.Parallel()
	r, _, _ := inMemory(t)
	put(t, r, studio("s", ""))
	payload := `{"coupleId":"c1","guestCount":120,"big":9007199254740993,"price":1.5,"vip":true,"tags":["a","b"],
		"items":[{"name":"cake","qty":2},{"name":"band","qty":1}],"at":"2027-06-12T16:00:00+02:00","none":null,"huge":1e999,"text":"Hello Wörld"}`
	for when, want := range map[string]bool{
		`true`: true,
		`type == "timeline.updated" and channel startsWith "supplier:"`:   true,
		`source == "api" && weddingId == "w1" && vars.supplierId == "42"`: true,
		`payload.guestCount > 100`:                                        true,
		`payload.guestCount / 2 == 60`:                                    true,
		`payload.big == 9007199254740993`:                                 true,
		`payload.huge == "1e999" and payload.none == nil`:                 true,
		`payload.price * 2 == 3`:                                          true,
		`payload.vip`:                                                     true,
		`payload.missing`:                                                 false,
		`payload.missing?.deeper == nil`:                                  true,
		`(payload.missing ?? 5) == 5`:                                     true,
		`"a" in payload.tags && "c" not in payload.tags`:                  true,
		`any(payload.items, .name == "cake" and .qty >= 2)`:               true,
		`all(payload.items, #.qty > 1)`:                                   false,
		`sum(payload.items, .qty) == 3`:                                   true,
		`len(filter(payload.items, .qty == 1)) == 1`:                      true,
		`reduce(payload.items, #acc + #.qty, 0) == 3`:                     true,
		`map(sortBy(payload.items, .qty), .name) == ["band", "cake"]`:     true,
		`payload.text matches "^Hel+o W.rld$"`:                            true,
		`payload.text contains "wörld"`:                                   false,
		`lower(payload.text) endsWith "wörld"`:                            true,
		`join(split(payload.text, " "), "-") == "Hello-Wörld"`:            true,
		`replace(payload.text, "l", "L", 2) == "HeLLo Wörld"`:             true,
		`repeat("ab", 2) == "abab"`:                                       true,
		`occurredAt.In(timezone("Europe/Paris")).Hour() == 16`:            true,
		`date(payload.at) - occurredAt < duration("1h")`:                  true,
		`date(payload.at).Equal(date(timezone("Europe/Paris"), "2027-06-12 16:00", "2006-01-02 15:04"))`: true,
		`let n = payload.guestCount; n >= 100 and n < 200`:                                               true,
		`payload.guestCount in 100..199`:                                                                 true,
		`string(payload.items[0].qty) + payload.tags[-1] == "2b"`:                                        true,
		`toJSON(payload.tags) contains "\"a\""`:                                                          true,
	} {
		_, delivered, err := try(t, r, mapped("m", when, nil), eventOf(payload))
		if err != nil || delivered != want {
			t.Errorf("%s: %t, %v; want %t", when, delivered, err, want)
		}
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	r, _, _ := inMemory(t)
	put(t, r, studio("s", ""))
	ev := eventOf(`{"coupleId":"c1","venue":"Old <Mill>","id":9007199254740993,"items":[{"qty":2.50}],"keep":1.0}`)
	before := string(ev.Payload)
	out, _, err := try(t, r, mapped("m", "true", map[string]string{
		"venue": `upper(payload.venue)`, "id": `payload.id`, "items": `map(payload.items, {{"n": .qty, "of": vars.supplierId}})`,
		"at": `occurredAt`, "gone": `nil`, "Größe": `[1, 2.5, true]`,
	}), ev)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"Größe":[1,2.5,true],"at":"2027-06-12T14:30:00Z","coupleId":"c1","gone":null,"id":9007199254740993,` +
		`"items":[{"n":2.5,"of":"42"}],"keep":1.0,"venue":"OLD \u003cMILL\u003e"}`
	if string(out.Payload) != want {
		t.Errorf("made %s\nwant %s", out.Payload, want)
	}
	if string(ev.Payload) != before || out.ID != ev.ID || out.Seq != ev.Seq || out == ev {
		t.Errorf("the event itself is now %+v", ev)
	}
	same, _, err := try(t, r, mapped("m", "true", nil), ev)
	if err != nil || same != ev {
		t.Errorf("without fields it is %p, not %p: %v", same, ev, err)
	}
}

// TestWrongExpressions: each is refused when it is saved, with the place.
func TestWrongExpressions(t *testing.T) {
	t.Parallel()
	n := start(t)
	long := strings.Repeat("x", 100)
	for source, want := range map[string]registry.ExpressionError{
		`payload.a >`:                                 {Line: 1, Column: 11, Text: ">", Reason: "unexpected token EOF"},
		"true and\n  foo":                             {Line: 2, Column: 3, Text: "foo", Reason: "unknown name foo"},
		`"é" == bar`:                                  {Line: 1, Column: 8, Text: "bar", Reason: "unknown name bar"},
		`vars.coupleId == "1"`:                        {Line: 1, Column: 6, Text: "coupleId", Reason: "unknown field coupleId"},
		`"a" + 1 == "a"`:                              {Line: 1, Column: 5, Text: "+", Reason: "mismatched types string and int"},
		`payload.guestCount + 1 == len(type, 1)`:      {Line: 1, Column: 27, Text: "len", Reason: "invalid number of arguments"},
		`type`:                                        {Line: 1, Column: 1, Text: "type", Reason: "it comes to a string; a condition is true or false"},
		`now() > occurredAt`:                          {Line: 1, Column: 1, Text: "now", Reason: "unknown name now"},
		`len(uniq(payload.a)) > 1`:                    {Line: 1, Column: 5, Text: "uniq", Reason: "unknown name uniq"},
		`$env["payload"] == 1`:                        {Line: 1, Column: 1, Text: "$env", Reason: "unknown name $env"},
		`trim(type, source) == ""`:                    {Line: 1, Column: 12, Text: "source", Reason: "must stand there as a text"},
		`$work == 1`:                                  {Line: 1, Column: 1, Text: "$work", Reason: "unknown name $work"},
		`$spend(1, true, 0, 0)`:                       {Line: 1, Column: 1, Text: "$spend", Reason: "unknown name $spend"},
		`payload.a matches payload.b`:                 {Line: 1, Column: 27, Text: "b", Reason: "must stand there as a text"},
		`payload.a matches "("`:                       {Line: 1, Column: 19, Text: `"("`, Reason: "missing closing )"},
		`payload.a matches "(a{100}){10}b{900}"`:      {Line: 1, Column: 19, Text: `"(a{100}){10}b{900}"`, Reason: "instructions, at most"},
		`occurredAt.Local().Hour() == 1`:              {Line: 1, Column: 12, Text: "Local", Reason: "local time"},
		`timezone("Mars/Base") == nil`:                {Line: 1, Column: 10, Text: `"Mars/Base"`, Reason: "no time zone"},
		`timezone(payload.zone) == nil`:               {Line: 1, Column: 1, Text: "timezone", Reason: "must stand there"},
		`date("1", "2", "Europe/Paris") > occurredAt`: {Line: 1, Column: 1, Text: "date", Reason: "write date(timezone("},
		strings.Repeat("1+", 600) + "1 > 0":           {Line: 1, Column: 502, Reason: "exceeds maximum allowed nodes"},
		`"` + long + `" + 1 == ""`:                    {Line: 1, Column: 104, Text: "+", Reason: "mismatched"},
		long + ` == 1`:                                {Line: 1, Column: 1, Text: strings.Repeat("x", 80), Reason: "unknown name"},
	} {
		_, err := n.PutMapping(t.Context(), mapped("m", source, nil))
		var invalid *registry.InvalidError
		var at *registry.ExpressionError
		if !errors.As(err, &invalid) || !errors.As(err, &at) {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if at.Mapping != "m" || at.Field != "when" || at.Line != want.Line || at.Column != want.Column ||
			want.Text != "" && at.Text != want.Text || !strings.Contains(at.Reason, want.Reason) {
			t.Errorf("%s: %+v\nwant %+v", source, *at, want)
		}
	}
	_, err := n.PutMapping(t.Context(), mapped("m", "", map[string]string{"a": "1", "venue": "payload.x +"}))
	if err == nil || !strings.Contains(err.Error(), `mapping m: fields.venue: line 1, column `) {
		t.Errorf("a field: %v", err)
	}
	if len(n.Mappings()) != 0 {
		t.Errorf("stored are %+v", n.Mappings())
	}
}

// TestExpressionsFail: what compiles and fails for an event says where, and which.
func TestExpressionsFail(t *testing.T) {
	t.Parallel()
	r, _, _ := inMemory(t)
	put(t, r, studio("s", ""))
	ev := eventOf(`{"n":5,"s":"x","list":[1,"a"]}`)
	for source, want := range map[string]string{
		`payload.n`:                              `when: line 1, column 1, at "payload.n": it comes to a number; a condition`,
		`payload.s.deep.deeper == 1`:             `column 11, at "deep`,
		"1 == 1 and\npayload.n + payload.s > 1":  `line 2, column 11, at "+": invalid operation: int + string`,
		`date(payload.s) > occurredAt`:           "invalid date x",
		`join(payload.list) == ""`:               "a number is no text",
		`join(payload.n) == ""`:                  "a number is no array",
		`repeat(payload.n, 2) == ""`:             "a number is no text",
		`repeat("a", payload.s) == ""`:           "a text is no whole number",
		`repeat("a", -1) == ""`:                  "-1 times",
		`replace("a", payload.n, "") == ""`:      "a number is no text",
		`replace("a", "b", "", payload.s) == ""`: "a text is no whole number",
		`join(["a"], payload.n) == ""`:           "a number is no text",
		`any(payload.n, true)`:                   `at "any`,
	} {
		_, delivered, err := try(t, r, mapped("m", source, nil), ev)
		var at *registry.ExpressionError
		if !delivered || !errors.As(err, &at) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %t, %v\nwant %s", source, delivered, err, want)
		}
	}
	for source, want := range map[string]string{
		`0.0 / 0.0`:   "fields.f: line 1, column 1",
		`payload.s.x`: `column 11, at "x"`,
	} {
		_, _, err := try(t, r, mapped("m", "", map[string]string{"f": source}), ev)
		if !errors.As(err, new(*registry.ExpressionError)) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", source, err, want)
		}
	}
	_, delivered, err := try(t, r, mapped("m", "true", nil), eventOf(`{`))
	if !delivered || err == nil {
		t.Errorf("a payload that is no JSON: %t, %v", delivered, err)
	}
}
