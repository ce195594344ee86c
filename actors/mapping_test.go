package actors_test

import (
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
)

// remap stores the mapping that connect made with expressions.
func (n *node) remap(when string, fields map[string]string) {
	n.t.Helper()
	_, err := n.registry.PutMapping(n.t.Context(), event.Mapping{
		ID: "crm", Pattern: "supplier:dashboard:{supplierId}:**", Targets: []event.Target{{Category: event.PhotographyCRM}},
		When: when, Fields: fields,
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

const ceremony = `"coupleId":"c1","ceremonyTime":"2027-06-12T16:00:00+02:00"`

func TestConditionsAndFieldsSayWhatIsDelivered(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	n.remap(`(payload.guests ?? 0) > 100`, map[string]string{"notes": `"a/" + string(payload.guests - 101) + vars.supplierId[0:0]`})
	n.append("studio", "a", "e1", `{`+ceremony+`,"guests":101,"notes":"secret"}`)
	n.append("studio", "a", "e2", `{`+ceremony+`,"guests":99}`)
	n.append("studio", "a", "e3", `{`+ceremony+`}`)
	n.append("studio", "a", "e4", `{`+ceremony+`,"guests":102}`)
	inOrder(t, s.wait(t, 2))
	if got := n.results(2); len(got) != 2 {
		t.Errorf("%d results: what is not delivered is not recorded", len(got))
	}
}

func TestExpressionThatFailsMakesADeadLetter(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	n.remap("", map[string]string{"notes": "\"a/\" +\n  payload.guests"})
	n.append("studio", "a", "e1", `{`+ceremony+`,"guests":0}`)
	buried := n.letters(1)[0]
	l := buried.Letter
	if l.Reason != event.ReasonExpression || !strings.Contains(l.Detail, `mapping crm: fields.notes: line 1, column 6, at "+": invalid operation: string + int`) {
		t.Errorf("died of %s: %s", l.Reason, l.Detail)
	}
	if l.Event.ID != "e1" || string(l.Event.Payload) != `{`+ceremony+`,"guests":0}` {
		t.Errorf("the letter keeps %+v", l.Event)
	}
	for _, r := range n.results(1) {
		if r.Result.Outcome != event.Dead || r.Result.Reason != event.ReasonExpression {
			t.Errorf("%+v", r.Result)
		}
	}
	n.limited(event.ReasonExpression, 1)
	if _, err := n.Replay(t.Context(), buried.Seq); err == nil || !strings.Contains(err.Error(), "still cannot be encoded: mapping crm") {
		t.Errorf("replayed as it is: %v", err)
	}
	n.remap("", map[string]string{"notes": `"a/" + string(payload.guests)`})
	if _, err := n.Replay(t.Context(), buried.Seq); err != nil {
		t.Fatal(err)
	}
	inOrder(t, s.wait(t, 1))
}

func TestReplayOfWhatNoMappingLeadsTo(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	n.remap("", map[string]string{"notes": "payload.missing.deep"})
	n.append("studio", "a", "e1", `{`+ceremony+`,"notes":"a/0"}`)
	buried := n.letters(1)[0]
	if err := n.registry.DeleteMapping(t.Context(), "crm"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Replay(t.Context(), buried.Seq); err != nil {
		t.Fatal(err)
	}
	inOrder(t, s.wait(t, 1))
}
