package registry_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
)

// largest returns an event whose payload is as large as one can be: 10,000 elements, and long texts.
func largest(tb testing.TB) *event.Event {
	tb.Helper()
	numbers := make([]int, 9000)
	for i := range numbers {
		numbers[i] = i
	}
	long := strings.Repeat("a", 60<<10)
	raw, err := json.Marshal(map[string]any{"l": numbers, "a": long, "b": long + "b", "c": long})
	if err != nil || len(raw) > event.MaxPayloadBytes {
		tb.Fatalf("%d bytes, %v", len(raw), err)
	}
	return eventOf(string(raw))
}

// TestExpressionsAreBounded: whatever an expression asks for, it ends soon and says why.
func TestExpressionsAreBounded(t *testing.T) {
	t.Parallel()
	r, _, _ := inMemory(t)
	put(t, r, studio("s", ""))
	ev := largest(t)
	const tooMuch, tooLarge, tooLong = "more work than", "memory budget", "a text of more than"
	for source, want := range map[string]string{
		// Loops.
		`all(payload.l, all(payload.l, # >= 0))`:                              tooMuch,
		`any(1..90, any(1..90, any(1..90, any(1..90, # < 0))))`:               tooMuch,
		`reduce(payload.l, #acc + count(payload.l, # > 1), 0) > 0`:            tooMuch,
		`len(sortBy(payload.l, len(filter(payload.l, # > 1)))) > 0`:           tooMuch,
		`all(payload.l, not (payload.a contains "ab"))`:                       tooMuch,
		`all(payload.l, payload.a == payload.c)`:                              tooMuch,
		`all(payload.l, payload.b > payload.c)`:                               tooMuch,
		`all(payload.l, payload.l == payload.l)`:                              tooMuch,
		`all(payload.l, -1 not in payload.l)`:                                 tooMuch,
		`all(payload.l, len(upper(payload.a)) > 0)`:                           tooMuch,
		`all(payload.l, not (payload.a matches "x$"))`:                        tooMuch,
		`payload.a matches "(a?){60}(a*)*b"`:                                  tooMuch,
		`all(payload.l, date(payload.a) > occurredAt)`:                        "invalid date",
		`all(payload.l, duration("1h" + repeat("0", 1000)) > duration("1h"))`: "missing unit",
		`all(payload.l, occurredAt.Format(payload.a) != "")`:                  tooMuch,
		`len(split(payload.a, "")) + len(split(payload.b, "")) + len(split(payload.c, "")) + len(split(payload.a, "")) + len(split(payload.a, "")) > 0`: tooMuch,
		`any(payload.l, any(payload.l, any(payload.l, false)))`:                                         tooMuch,
		`all(payload.l, all(payload.l, all(payload.l, occurredAt.UTC() == occurredAt)))`:                tooMuch,
		`all(payload.l, all(payload.l, date("2027-06-12") != nil))`:                                     tooMuch,
		`all(payload.l, trim(payload.a, "bcdefghijklmnopqrstuvwxyz") != "")`:                            tooMuch,
		`all(payload.l, indexOf(payload.a, payload.b) < 0 and replace(payload.a, payload.b, "") != "")`: tooMuch,
		`toJSON(reduce(1..50000, [#acc], 1)) == ""`:                                                     tooLarge,
		// Elements.
		`len(1..200000) > 1`:                                       tooLarge,
		`len(map(1..60000, #)) > 1`:                                tooLarge,
		`len(map(1..400, map(1..400, #))) > 1`:                     tooLarge,
		`len(reduce(1..20, concat(#acc, #acc), [1, 2])) > 1`:       tooLarge,
		`len(concat(payload.l, payload.l, 1..90000)) > 1`:          tooLarge,
		`len(flatten(reduce(1..60, [#acc, #acc], [1]))) > 1`:       tooMuch,
		`string(reduce(1..60, [#acc, #acc], 1)) == ""`:             tooMuch,
		`toJSON(reduce(1..60, {{"a": #acc, "b": #acc}}, 1)) == ""`: tooMuch,
		// Texts.
		`len(reduce(1..40, #acc + #acc, "x")) > 1`: tooMuch,
		`let a = payload.a; let b = a + a + a + a; let c = b + b + b + b; let d = c + c + c + c; len(d + d + d + d) > 1`: tooMuch,
		`repeat(payload.a, 1000) == ""`:                    tooLong,
		`repeat("ab", 9223372036854775807) == ""`:          tooLong,
		`replace(payload.a, "a", payload.b) == ""`:         tooLong,
		`replace(payload.a, "", payload.b, 100) == ""`:     tooLong,
		`join(map(payload.l, payload.a), payload.a) == ""`: tooMuch,
		`join(split(payload.a, ""), payload.b) == ""`:      tooLong,
		`join(map(1..9, payload.a)) == ""`:                 tooLong,
	} {
		begun := time.Now()
		_, delivered, err := try(t, r, mapped("m", source, nil), ev)
		took := time.Since(begun)
		var at *registry.ExpressionError
		if !delivered || !errors.As(err, &at) || !strings.Contains(at.Reason, want) {
			t.Errorf("%s: %t, %v; want %s", source, delivered, err, want)
		}
		if at != nil && len([]rune(err.Error())) > 600 {
			t.Errorf("%s: the error has %d bytes", source, len(err.Error()))
		}
		if took > 3*time.Second { // it is 80 ms without the race detector
			t.Errorf("%s took %s", source, took)
		}
	}
	// What a field makes is measured before it is written.
	for source, want := range map[string]string{
		`map(1..20000, payload.a)`:          "larger than a payload",
		`reduce(1..60, [#acc, #acc], 1)`:    "larger than a payload",
		`payload.a + payload.b + payload.c`: "the payload comes to",
	} {
		_, _, err := try(t, r, mapped("m", "", map[string]string{"f": source}), ev)
		if !errors.As(err, new(*registry.ExpressionError)) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", source, err, want)
		}
	}
	// All expressions of a mapping share one budget.
	fields := map[string]string{}
	for _, name := range strings.Split("abcdefghijkl", "") {
		fields[name] = `count(payload.l, # > 1 and # > 2 and # > 3)`
	}
	if _, _, err := try(t, r, mapped("m", "", fields), ev); err == nil || !strings.Contains(err.Error(), tooMuch) {
		t.Errorf("twelve loops: %v", err)
	}
}

// TestLargestPayloadIsWithinTheBounds: what one would ask of a payload can be asked of any.
func TestLargestPayloadIsWithinTheBounds(t *testing.T) {
	t.Parallel()
	r, _, _ := inMemory(t)
	put(t, r, studio("s", ""))
	ev := largest(t)
	for _, source := range []string{
		`any(payload.l, # == 8999)`,
		`len(filter(payload.l, # > 10 and # < 100 or # == 7)) == 90`,
		`sum(map(payload.l, # * 2)) == 80991000`,
		`sort(payload.l, "desc")[0] == 8999`,
		`payload.b matches "(?i)aaab$" and payload.b contains "ab" and payload.a != payload.b`,
		`len(toJSON(payload.l)) > 40000`,
	} {
		if _, delivered, err := try(t, r, mapped("m", source, nil), ev); err != nil || !delivered {
			t.Errorf("%s: %t, %v", source, delivered, err)
		}
	}
}

// FuzzExpression compiles and runs whatever stands there: it ends, and an error says where.
func FuzzExpression(f *testing.F) {
	for _, source := range []string{
		`payload.guestCount > 100 and vars.supplierId == "42"`, `map(payload.l, {{"a": #, "b": payload.s}})`,
		`let a = 1; a + 2`, `reduce(payload.l, #acc + #, 0)`, `payload.s matches "a+"`, `$env`, `date(payload.s)?.Year()`,
		`repeat("a", 10) + join(split(payload.s, ""), "-")`, `if true { 1 } else { 2 }`, "`raw`", `1..10 | filter(# > 5) | first()`,
		`occurredAt.In(timezone("Europe/Paris"))`, `{"a": [1, {"b": nil}]}`, `not (1 in [1])`, `"x" ?? 1 ? 2 : 3`, `//`, `#`, `\x00`,
	} {
		f.Add(source)
	}
	store := registry.Store{Config: newMemory(), Secrets: newMemory()}
	r := open(f, store, newSealer(f), zerolog.Nop())
	put(f, r, studio("s", ""))
	ev := eventOf(`{"guestCount":120,"l":[1,2,3],"s":"text"}`)
	f.Fuzz(func(t *testing.T, source string) {
		for _, m := range []event.Mapping{mapped("m", source, nil), mapped("m", "", map[string]string{"f": source})} {
			trial, err := r.Try(m)
			if err == nil {
				for _, match := range trial.Resolve(ev) {
					var out *event.Event
					if out, err = match.Event(ev); err == nil && !json.Valid(out.Payload) {
						t.Fatalf("made %s", out.Payload)
					}
				}
			}
			var at *registry.ExpressionError
			if errors.As(err, &at) && (at.Line < 1 || at.Column < 1 || at.Reason == "") {
				t.Fatalf("%+v", at)
			}
		}
	})
}
