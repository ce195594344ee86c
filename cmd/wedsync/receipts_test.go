package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// What became of a delivery is the word of the integration that it went to: nobody else is heard, however well
// they sign, and whatever keys they have.
func TestReceiptsCannotBeForged(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(c *Config) { c.ClickHouse.DSN = clickhouseEmbedded })
	waitComponent(t, d.node.URL(), "clickhouse", "")
	const channel = "supplier:dashboard:42"
	for _, v := range d.sims.All() { // all on one channel, so that they are routed in the order in which they speak
		in, _ := v.Integration("sim-" + v.Name())
		in.Channel = channel
		if _, err := d.node.registry.Put(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	d.do("publish", channel, "timeline.updated", timeline)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := d.sims.WhatsApp.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	id := d.sims.WhatsApp.Received()[0].ID
	forged := map[string]any{"status": "failed", "deliveryId": id, "vendor": "whatsapp", "messageId": "wamid.1", "recipient": "33612345678"}
	sends := func(s vendors.Sender, to string, w vendors.Webhook) {
		t.Helper()
		sent, err := s.Send(ctx, d.node.URL()+to, w)
		if err != nil || sent[0].Status/100 != 2 {
			t.Fatalf("%s: %v, %+v: %s", to, err, sent, sent[0].Body)
		}
	}

	// A generic webhook may send events of any type, as a vendor's and as a channel event.
	sends(d.sims.AnySystem, "/api/webhooks/webhook/sim-webhook", vendors.Webhook{Type: "delivery.status", Data: forged})
	payload, err := json.Marshal(forged)
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"channelName":%q,"eventType":"delivery.status","payload":%s}`, channel, payload)
	sendChannelEvent(t, d, "sim-webhook", body)

	// So may whoever has a key to publish, bound to the channel's owner or not.
	for _, more := range [][]string{nil, {"--owner=supplierId=42", "--channel=supplier:dashboard:{supplierId}"}} {
		var made struct{ Key string }
		d.read(&made, append([]string{"keys", "create", "forger", "--scope=channels:publish,integrations:read"}, more...)...)
		d.do("publish", channel, "delivery.status", string(payload), "--key", made.Key)
	}

	// An owner has a number of their own: its app's secret signs, and it names the delivery of another.
	var made struct{ Key string }
	d.read(&made, "keys", "create", "owner", "--scope=integrations:read,integrations:write,secrets:write,deliveries:read", "--owner=supplierId=42", "--channel=supplier:dashboard:{supplierId}")
	own := d.ownWhatsApp(made.Key, channel)
	status := func(says string) vendors.Webhook {
		return vendors.Webhook{ID: "wamid." + says, Type: "status", Data: map[string]any{"status": says, "recipient_id": "33612345678", "biz_opaque_callback_data": id}}
	}
	sends(d.sims.WhatsApp, "/api/webhooks/whatsapp/"+own, status("failed"))

	// The integration itself comes last: when it was heard, so would have been all before it.
	sends(d.sims.WhatsApp, "/api/webhooks/whatsapp/sim-whatsapp", status("delivered"))
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := d.node.records.current().Receipts(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) > 0 {
			if len(got) != 1 || got[0].Status != event.ReceiptDelivered || got[0].Integration != "sim-whatsapp" {
				t.Errorf("receipts %+v", got)
			}
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the integration itself is not heard")
		}
	}
	numbers, err := d.node.records.current().Summary(ctx, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range numbers {
		if n.Integration != own && n.Failed != 0 || n.Integration == "sim-whatsapp" && n.Reached != 1 {
			t.Errorf("%s has reached %d and failed %d", n.Integration, n.Reached, n.Failed)
		}
	}
}

// sendChannelEvent posts a channel event that the simulator of any system signs.
func sendChannelEvent(t *testing.T, d *desk, id, body string) {
	t.Helper()
	_, secrets := d.sims.AnySystem.Integration(id)
	now := time.Now()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.node.URL()+"/api/webhooks/channel-events?integration="+id, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	key, err := standardwebhooks.NewWebhook(secrets.Current("webhook").Reveal())
	if err != nil {
		t.Fatal(err)
	}
	signature, err := key.Sign("msg_forged", now, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(standardwebhooks.HeaderWebhookID, "msg_forged")
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusAccepted {
		t.Fatalf("a channel event is answered %d", resp.StatusCode)
	}
}

// ownWhatsApp makes an integration with the simulator's secrets as the holder of a key, and returns its id.
func (d *desk) ownWhatsApp(key, channel string) string {
	d.t.Helper()
	in, secrets := d.sims.WhatsApp.Integration("x")
	node, err := nodeFlags{Addr: d.node.URL(), Key: key}.client()
	if err != nil {
		d.t.Fatal(err)
	}
	made, _, err := ask[struct{ ID string }](d.t.Context(), node, http.MethodPost, "/api/integrations", nil,
		map[string]any{"vendor": "whatsapp", "settings": in.Settings, "channel": channel})
	if err != nil {
		d.t.Fatal(err)
	}
	values := map[string]string{}
	for name := range secrets {
		values[name] = secrets.Current(name).Reveal()
	}
	if _, err := node.call(d.t.Context(), http.MethodPut, integrationPath(made.ID, "secrets"), nil, values); err != nil {
		d.t.Fatal(err)
	}
	return made.ID
}
