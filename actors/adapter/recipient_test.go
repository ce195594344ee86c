package adapter_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
)

// A call goes to the recipient that the mapping names, and without one to whom the settings name.
func TestCallsGoToTheRecipientThatIsNamed(t *testing.T) {
	t.Parallel()
	slack := connect(t, "slack", `{"channel":"C024BE91L"}`, event.Secrets{"bot_token": {event.SecretOf("xoxb-1")}})
	ev := sampleOf(t, "email", adapter.TypeTimelineUpdated)
	for _, c := range []struct {
		conn     adapter.Connection
		to, want string
		read     func(*event.Call) string
	}{
		{connected(t, "whatsapp"), "+4915112345678", "+33612345678", func(c *event.Call) string {
			var m struct{ To string }
			_ = json.Unmarshal(c.HTTP.Body, &m)
			if m.To != c.Recipient {
				t.Errorf("to %s, limited as %s", m.To, c.Recipient)
			}
			return m.To
		}},
		{slack, "#vendors", "C024BE91L", func(c *event.Call) string {
			var m struct{ Channel string }
			_ = json.Unmarshal(c.HTTP.Body, &m)
			return m.Channel
		}},
		{connected(t, "email"), "<b@example.com>", "<a@example.com>", func(c *event.Call) string {
			to := strings.Join(c.Mail.To, " ")
			if !strings.Contains(c.Mail.Calendar, strings.Trim(to, "<>")) {
				t.Errorf("%s is not invited: %s", to, c.Mail.Calendar)
			}
			return to
		}},
	} {
		body, err := c.conn.Encode(ev)
		if err != nil {
			t.Fatal(err)
		}
		for to, want := range map[string]string{"": c.want, c.to: c.to} {
			call, err := c.conn.Call(&event.Delivery{ID: "dlv_1", Recipient: to, Body: body}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if got := c.read(call); got != want {
				t.Errorf("to %q: it goes to %s, want %s", to, got, want)
			}
		}
	}
}

func TestWhoCannotAddressSaysSo(t *testing.T) {
	t.Parallel()
	var settings *adapter.SettingsError
	_, err := connected(t, "slack").Call(&event.Delivery{ID: "dlv_1", Recipient: "#vendors", Body: []byte(`{}`)}, time.Now())
	if !errors.As(err, &settings) || settings.Problems[0].Field != "secrets.bot_token" {
		t.Errorf("an incoming webhook to another channel: %v", err)
	}
	if _, err := connected(t, "email").Call(&event.Delivery{ID: "dlv_1", Recipient: "nobody", Body: []byte(`{}`)}, time.Now()); err == nil {
		t.Error("mail goes to nobody")
	}
	var addressers []string
	for _, v := range adapter.Vendors() {
		a, err := adapter.Lookup(v)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := a.(adapter.Addresser); ok {
			addressers = append(addressers, v)
		}
	}
	if !slices.Equal(addressers, []string{"email", "slack", "whatsapp"}) {
		t.Errorf("recipients can be named for %v", addressers)
	}
}
