package adapter_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
)

// Several events are one message, with a line for each; the mail has the last invitation.
func TestDigests(t *testing.T) {
	t.Parallel()
	moved := sampleOf(t, "email", adapter.TypeTimelineUpdated)
	later := withPayload(t, moved, map[string]any{"ceremonyTime": "2027-06-12T18:30:00+02:00"})
	guests := sampleOf(t, "email", adapter.TypeGuestCountChanged)
	events := []*event.Event{moved, later, guests}
	whatsapp := connect(t, "whatsapp", `{"phone_number_id":"106540352242922","to":"+33612345678","mode":"text"}`, event.Secrets{"access_token": {event.SecretOf("token")}})
	for name, conn := range map[string]adapter.Connection{"whatsapp": whatsapp, "slack": connected(t, "slack"), "email": connected(t, "email")} {
		digester, ok := conn.(adapter.Digester)
		if !ok {
			t.Fatalf("%s makes no digests", name)
		}
		body, err := digester.EncodeDigest(events)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text := string(body)
		if !strings.Contains(text, "3 updates") || strings.Count(text, "Timeline updated") < 2 || !strings.Contains(text, "Guest count changed") {
			t.Errorf("%s: %s", name, text)
		}
		if name == "email" && !strings.Contains(text, "2027-06-12T16:30:00Z") {
			t.Errorf("the invitation is not the last: %s", text)
		}
		if name == "whatsapp" && !strings.Contains(text, `"name":"digest"`) {
			t.Errorf("the template is not the digest's: %s", text)
		}
		if _, err := digester.EncodeDigest([]*event.Event{moved, {Type: "a.b", Payload: json.RawMessage(`[]`)}}); err == nil {
			t.Errorf("%s: a payload that is no object is told", name)
		}
	}
	// Of very many the newest are told, and of several weddings it says so.
	var many []*event.Event
	for i := range 60 {
		many = append(many, withPayload(t, moved, map[string]any{"venue": fmt.Sprint("Hall-", i, "."), "coupleName": fmt.Sprint("Couple ", i/30)}))
	}
	body, err := connected(t, "slack").(adapter.Digester).EncodeDigest(many)
	if err != nil {
		t.Fatal(err)
	}
	for text, there := range map[string]bool{"60 updates: several weddings": true, "21 more": true, "Hall-20.": false, "Hall-21.": true, "Hall-59.": true} {
		if strings.Contains(string(body), text) != there {
			t.Errorf("%q is there: %v; in %s", text, !there, body)
		}
	}
}
