package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/wedsync/wedsync/actors/event"
)

// facts are an event as expressions see it, made when the first of them asks.
type facts struct {
	ev      *event.Event
	payload map[string]any
	err     error
}

// outcome is what one mapping's expressions make of one event. Until it is settled it holds the
// expressions only.
type outcome struct {
	formulas *formulas
	env      map[string]any
	settled  bool
	passed   bool // the condition is false
	event    *event.Event
	err      error
}

// choose takes, of the matches of an event that are ordered by integration, recipient and mapping, the
// first of each integration and recipient whose condition is not false. One whose condition cannot be evaluated is taken: whether the
// event was to be delivered is not known, and must not be decided in silence.
func choose(ev *event.Event, found []Match) (chosen, passed []Match) {
	f := &facts{ev: ev}
	for len(found) > 0 {
		same := 1
		for same < len(found) && found[same].same(&found[0]) {
			same++
		}
		at := slices.IndexFunc(found[:same], func(m Match) bool {
			if m.outcome != nil {
				m.outcome.judge(f, m.Mapping, m.Vars)
			}
			return m.outcome == nil || !m.outcome.passed
		})
		if at < 0 {
			passed = append(passed, found[0])
		} else {
			if m := found[at]; m.outcome != nil {
				m.outcome.apply(f)
			}
			chosen = append(chosen, found[at])
		}
		found = found[same:]
	}
	return chosen, passed
}

// judge evaluates the condition, once.
func (o *outcome) judge(f *facts, mapping string, vars map[string]string) {
	if o.settled {
		return
	}
	o.settled = true
	if err := f.read(); err != nil {
		o.err = &ExpressionError{Mapping: mapping, Field: "payload", Line: 1, Column: 1, Reason: err.Error()}
		return
	}
	captured := make(map[string]any, len(vars))
	for name, value := range vars {
		captured[name] = value
	}
	o.env = map[string]any{
		"type": f.ev.Type, "channel": f.ev.Channel, "payload": f.payload, "occurredAt": f.ev.OccurredAt,
		"source": f.ev.Source, "weddingId": WeddingID(f.ev, vars), "vars": captured, workName: &work{left: workBudget},
	}
	if o.formulas.when == nil {
		return
	}
	out, err := o.formulas.when.run(o.env)
	if err != nil {
		o.err = err
		return
	}
	switch out := out.(type) {
	case nil: // of a field that is missing
		o.passed = true
	case bool:
		o.passed = !out
	default:
		o.err = o.formulas.when.failure(fmt.Errorf("it comes to %s; a condition is true or false", kindOf(out)))
	}
}

// apply makes the event as the mapping's fields have it, once.
func (o *outcome) apply(f *facts) {
	if o.event != nil || o.err != nil {
		return
	}
	o.event = f.ev
	if len(o.formulas.fields) == 0 {
		return
	}
	var fields map[string]json.RawMessage
	if o.err = json.Unmarshal(f.ev.Payload, &fields); o.err != nil {
		return // cannot be: it was read before
	}
	if fields == nil {
		fields = map[string]json.RawMessage{}
	}
	for i, e := range o.formulas.fields {
		out, err := e.run(o.env)
		if err == nil {
			fields[o.formulas.names[i]], err = e.write(out)
		}
		if err != nil {
			o.err = err
			return
		}
	}
	payload, err := json.Marshal(fields)
	if err == nil && len(payload) > event.MaxPayloadBytes {
		err = fmt.Errorf("the payload comes to %d bytes, at most %d are allowed", len(payload), event.MaxPayloadBytes)
	}
	if err != nil {
		last := o.formulas.fields[len(o.formulas.fields)-1]
		o.err = last.failure(err)
		return
	}
	mapped := *f.ev
	mapped.Payload = payload
	o.event = &mapped
}

// write gives a field's value as JSON. A value may hold one part many times, so it is measured first.
func (e *expression) write(v any) (json.RawMessage, error) {
	size := &work{left: event.MaxPayloadBytes}
	if size.look(v, 1) != nil {
		return nil, e.failure(fmt.Errorf("the value is larger than a payload may be, %d bytes", event.MaxPayloadBytes))
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, e.failure(err)
	}
	return raw, nil
}

// read decodes the payload. Whole numbers stay whole, so that an id of 19 digits keeps them all.
func (f *facts) read() error {
	if f.payload != nil || f.err != nil {
		return f.err
	}
	d := json.NewDecoder(bytes.NewReader(f.ev.Payload))
	d.UseNumber()
	var payload map[string]any
	if f.err = d.Decode(&payload); f.err != nil {
		return f.err
	}
	for name, v := range payload {
		payload[name] = numbers(v)
	}
	f.payload = payload
	if payload == nil {
		f.payload = map[string]any{}
	}
	return nil
}

// numbers replaces the numbers of a decoded value.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.Atoi(v.String()); err == nil {
			return n
		}
		n, err := v.Float64()
		if err != nil {
			return v.String() // beyond what a number can hold; JSON has no bound
		}
		return n
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for name, item := range v {
			v[name] = numbers(item)
		}
	}
	return v
}
