package webhook_test

import (
	"strings"
	"testing"

	"github.com/wedsync/wedsync/edge/problem"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

func TestSimulatedVendors(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	sims := simulators(t)
	for _, v := range sims.All() {
		in, secrets := v.Integration(v.Name())
		in.Channel = "inbox:" + v.Name()
		n.connect(t, in, secrets)
	}

	must(t, sims.Slack.Handshake(t.Context(), n.url+"/api/webhooks/slack/slack"))
	must(t, sims.WhatsApp.Handshake(t.Context(), n.url+"/api/webhooks/whatsapp/whatsapp"))
	want := uint64(0)
	for _, v := range sims.All() {
		sender, ok := v.(vendors.Sender)
		if !ok {
			continue
		}
		to := n.url + "/api/webhooks/" + v.Name() + "/" + v.Name()
		for _, w := range sender.Webhooks() {
			before := n.appended(t)
			sender.Faults().SpoilWebhooks(vendors.WebhookFault{WrongSignature: true})
			sent, err := sender.Send(t.Context(), to, w)
			must(t, err)
			if sent[0].Status != 401 || n.appended(t) != before {
				t.Errorf("%s %s with a wrong signature: %d %s", sender.Name(), w.Type, sent[0].Status, sent[0].Body)
			}
			sender.Faults().SpoilWebhooks(vendors.WebhookFault{Duplicate: true})
			sent, err = sender.Send(t.Context(), to, w)
			must(t, err)
			if len(sent) != 2 || sent[0].Status/100 != 2 || sent[1].Status != 200 {
				t.Errorf("%s %s sent twice: %+v", sender.Name(), w.Type, sent)
			}
			after := n.appended(t)
			if after <= before {
				t.Errorf("%s %s: nothing was appended", sender.Name(), w.Type)
			}
			want = after
		}
		sender.Faults().SpoilWebhooks(vendors.WebhookFault{})
	}
	for seq := uint64(1); seq <= want; seq++ {
		if ev := n.event(t, seq); strings.ContainsAny(string(ev.Payload), "<") {
			t.Errorf("%s holds markup: %s", ev.Type, ev.Payload)
		}
	}
}

func TestHandshakes(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	n.venue(t, nil)
	sims := simulators(t)
	in, secrets := sims.WhatsApp.Integration("wa")
	n.connect(t, in, secrets)
	for path, code := range map[string]string{
		venuePath + "?hub.mode=subscribe":                                                problem.NoHandshake,
		"/api/webhooks/whatsapp/nobody":                                                  problem.IntegrationUnknown,
		"/api/webhooks/whatsapp/wa":                                                      problem.SignatureMissing,
		"/api/webhooks/whatsapp/wa?hub.mode=subscribe&hub.verify_token=x":                problem.SignatureInvalid,
		"/api/webhooks/whatsapp/wa?hub.mode=subscribe&hub.verify_token=&hub.challenge=1": problem.SignatureInvalid,
	} {
		n.audited()
		if a := n.do(t, "GET", path, nil, nil); a.code(t) != code {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
		if audits := n.audited(); len(audits) != 1 || audits[0].Action != "webhook.handshake" || audits[0].Outcome != code {
			t.Errorf("%s: audited %+v", path, audits)
		}
	}
}
