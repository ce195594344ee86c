package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/loadtest/demo"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// eraseDemo removes the demo's couple, of whom nothing is left, but for the numbers.
func eraseDemo(t *testing.T, addr, data string, total uint64) {
	t.Helper()
	const couple = "cpl_7Qm2x"
	var seen, erased erasedWedding
	for _, run := range []struct {
		flag string
		into *erasedWedding
	}{{"--dry-run", &seen}, {"--yes", &erased}} {
		got := wedsync(t, "erase", couple, run.flag, "--json", "--addr", addr, "--data", data)
		if err := json.Unmarshal([]byte(got.out), run.into); err != nil || got.code != exitOK {
			t.Fatalf("%s: %+v, %v", run.flag, got, err)
		}
	}
	if !seen.Removed.none() || erased.Removed != seen.Left || !erased.Left.none() || erased.Removed.Events == 0 || erased.Removed.Rows < total {
		t.Errorf("there was %+v, erased was %+v, left is %+v", seen.Left, erased.Removed, erased.Left)
	}
	if got := wedsync(t, "erase", couple, "-y", "--addr", addr, "--data", data); got.code != exitOK || !strings.Contains(got.out, "removed") {
		t.Errorf("once more: %+v", got)
	}
	var report analytics.SLOReport
	out := wedsync(t, "slo", "--json", "--since=1h", "--by=wedding", "--addr", addr, "--data", data)
	if err := json.Unmarshal([]byte(out.out), &report); err != nil || len(report.Rows) != 0 {
		t.Errorf("after it slo tells %s, %v", out.out, err)
	}
	out = wedsync(t, "slo", "--json", "--since=1h", "--addr", addr, "--data", data)
	if err := json.Unmarshal([]byte(out.out), &report); err != nil || len(report.Rows) != 1 || report.Rows[0].Total != total {
		t.Errorf("after it slo tells %s, %v", out.out, err)
	}
	if got := wedsync(t, "audit", "--action=wedding.erase", "--addr", addr, "--data", data); strings.Contains(got.out, couple) {
		t.Errorf("the audit names the couple: %s", got.out)
	}
}

// The demo is the whole system with a real ClickHouse; its data are what slo is asked about afterwards.
func TestDemoThenSLO(t *testing.T) {
	t.Parallel()
	kept := t.TempDir()
	data := filepath.Join(kept, "data")
	got := wedsync(t, "demo", "--json", "--keep", kept, "--sdk=../../loadtest/js")
	var result demo.Result
	if err := json.Unmarshal([]byte(got.out), &result); err != nil || got.code != exitOK {
		t.Fatalf("%+v: %v", got, err)
	}
	if result.Passed != 3 || result.Lost != 0 || result.Duplicates != 0 || result.Deliveries == 0 ||
		result.Delivered != result.Deliveries || !strings.HasPrefix(result.ClickHouse, "26.") {
		t.Errorf("the demo ended with %+v", result)
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	addr, ended := serving(ctx, t, "--data", data, "--clickhouse=embedded", "--name=demo")
	waitComponent(t, addr, "clickhouse", "")
	var report analytics.SLOReport
	out := wedsync(t, "slo", "--json", "--since=1h", "--by=vendor", "--addr", addr, "--data", data)
	if err := json.Unmarshal([]byte(out.out), &report); err != nil {
		t.Fatalf("%+v: %v", out, err)
	}
	var total uint64
	for _, row := range report.Rows {
		total += row.Total
	}
	if total != result.Deliveries || len(report.Rows) != 5 {
		t.Errorf("slo counts %d deliveries of %d vendors, the demo %d: %s", total, len(report.Rows), result.Deliveries, out.out)
	}
	if got := wedsync(t, "slo", "--addr", addr, "--data", data); !strings.Contains(got.out, "99.5 % delivered") || !strings.Contains(got.out, "\nall ") || !strings.Contains(got.out, "met") {
		t.Errorf("slo: %+v", got)
	}
	if got := wedsync(t, "slo", "--since=yesterday", "--addr", addr, "--data", data); got.code != exitFailed || !strings.Contains(got.errors, "field_invalid") {
		t.Errorf("slo since yesterday: %+v", got)
	}
	eraseDemo(t, addr, data, total)
	stop()
	if code := <-ended; code != exitOK {
		t.Errorf("serve ended with %d", code)
	}
}

// What WhatsApp says of a message by webhook stands beside its delivery in ClickHouse, once.
func TestReceiptsReachClickHouse(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(c *Config) { c.ClickHouse.DSN = clickhouseEmbedded })
	waitComponent(t, d.node.URL(), "clickhouse", "")
	in, _ := d.sims.WhatsApp.Integration("sim-whatsapp")
	in.Channel = "status:whatsapp"
	if _, err := d.node.registry.Put(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	d.do("publish", "supplier:dashboard:42", "timeline.updated", timeline)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := d.sims.WhatsApp.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	id := d.sims.WhatsApp.Received()[0].ID
	for _, status := range []string{"sent", "read", "read"} { // the last one twice, as Meta does when it hears no answer
		sent, err := d.sims.WhatsApp.Send(ctx, d.node.URL()+"/api/webhooks/whatsapp/sim-whatsapp", vendors.Webhook{
			ID: "wamid.1", Type: "status", Data: map[string]any{"status": status, "recipient_id": "33612345678", "biz_opaque_callback_data": id},
		})
		if err != nil || sent[0].Status != http.StatusOK {
			t.Fatalf("%s: %+v, %v", status, sent, err)
		}
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		shown := d.run("deliveries", "show", id, "--json") // not found until the attempt is recorded
		var got []analytics.ReceiptRow
		if shown.code == exitOK {
			var one tracedDelivery
			if err := json.Unmarshal([]byte(shown.out), &one); err != nil {
				t.Fatal(err)
			}
			got = one.Receipts
		}
		if len(got) == 2 {
			if got[0].Status != event.ReceiptSent || got[1].Status != event.ReceiptRead || got[1].Integration != "sim-whatsapp" || got[1].Vendor != "whatsapp" {
				t.Errorf("receipts %+v", got)
			}
			if out := d.do("deliveries", "show", id); !strings.Contains(out, "receipt  at") || !strings.Contains(out, "\nsent ") || !strings.Contains(out, "\nread ") {
				t.Errorf("shown as\n%s", out)
			}
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("receipts %+v", got)
		}
	}
}

// waitComponent asks until a component says so of itself; "" is that all is well.
func waitComponent(t *testing.T, addr, name, says string) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		detail := waitReady(t, addr).Components[name].Detail
		if detail == says || says != "" && strings.Contains(detail, says) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s says %q, not %q", name, detail, says)
		}
	}
}

func TestNodeServesWithoutItsClickHouse(t *testing.T) {
	t.Parallel()
	for dsn, says := range map[string]string{
		"clickhouse://127.0.0.1:1/wedsync": "not connected since",
		clickhouseAuto:                     stateMissing,
	} {
		t.Run(dsn, func(t *testing.T) {
			t.Parallel()
			c := testConfig(t)
			c.ClickHouse.DSN, c.ClickHouse.Library = dsn, "/does/not/exist"
			n := startNode(t, c)
			waitComponent(t, n.URL(), "clickhouse", says)
			if r := waitReady(t, n.URL()); r.Status != "degraded" {
				t.Errorf("the node is %s", r.Status)
			}
		})
	}
}

func TestNodeEndsWithoutTheEngineItMustHave(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.ClickHouse.DSN, c.ClickHouse.Library = clickhouseEmbedded, "/does/not/exist"
	var logs bytes.Buffer
	n := newNode(c, zerolog.New(zerolog.SyncWriter(&logs)))
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-n.Done()
	if err := n.Stop(); err == nil || !strings.Contains(err.Error(), "clickhouse.dsn is embedded") || !strings.Contains(err.Error(), "/does/not/exist") {
		t.Errorf("ended with %v", err)
	}
	if !strings.Contains(logs.String(), `"message":"stopping"`) {
		t.Errorf("logged %s", logs.String())
	}
}

func TestServeWithABadConfiguration(t *testing.T) {
	t.Parallel()
	got := wedsync(t, "serve", "--addr=0.0.0.0:0", "--config", writeConfig(t, "nodes: {}\n"))
	if got.code != exitUsage || !strings.Contains(got.errors, "there is no key nodes; there are alerts, api, clickhouse,") {
		t.Errorf("%+v", got)
	}
	got = wedsync(t, "serve", "--addr=0.0.0.0:0", "--data", t.TempDir())
	if got.code != exitUsage || !strings.Contains(got.errors, "--allow-public") {
		t.Errorf("%+v", got)
	}
}
