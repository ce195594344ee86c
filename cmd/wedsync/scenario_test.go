package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// desk is a node with every simulator connected, and the command line as its operator uses it.
type desk struct {
	t    *testing.T
	node *node
	sims *vendors.Set
}

func newDesk(t *testing.T, change ...func(*Config)) *desk {
	t.Helper()
	c := testConfig(t)
	c.Delivery.AllowPrivate = []string{"127.0.0.0/8"}
	c.Delivery.RetryWaits = []time.Duration{10 * time.Millisecond}
	for _, f := range change {
		f(&c)
	}
	sims, err := vendors.StartAll(t.Context(), vendors.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sims.Close(); err != nil {
			t.Error(err)
		}
	})
	d := &desk{t, startNode(t, c), sims}
	waitReady(t, d.node.URL())
	text, err := simSeason(sims)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "season.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out := d.do("apply", "--yes", "-f", file)
	for _, id := range []string{"integration sim-studiocloud", "integration sim-email", "mapping sim-milestones"} {
		if !strings.Contains(out, id+" is in force\n") {
			t.Errorf("apply did not say %s: %s", id, out)
		}
	}
	return d
}

// run runs a command against the node.
func (d *desk) run(args ...string) result {
	d.t.Helper()
	return wedsyncWith(d.t.Context(), nil, strings.NewReader("0123456789abcdef0123456789abcdef\n"), append(args, "--addr", d.node.URL(), "--data", d.node.cfg.Data)...)
}

// do runs a command that must succeed and returns what it printed.
func (d *desk) do(args ...string) string {
	d.t.Helper()
	got := d.run(args...)
	if got.code != exitOK || got.errors != "" {
		d.t.Fatalf("wedsync %s: %d %s%s", strings.Join(args, " "), got.code, got.out, got.errors)
	}
	return got.out
}

// read runs a command with --json and reads what it printed.
func (d *desk) read(into any, args ...string) {
	d.t.Helper()
	out := d.do(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		d.t.Fatalf("wedsync %s printed %s: %v", strings.Join(args, " "), out, err)
	}
}

// timeline is a payload that every vendor of the season takes.
const timeline = `{"coupleId":"c1","ceremonyTime":"2027-06-12T16:00:00+02:00","venue":"Old Mill","schedule":"16:00 ceremony","notes":"none","weddingDate":"2027-06-12"}`

func TestPublishedByCommandDeliveredSigned(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var receipt struct {
		ID  string
		Seq uint64
	}
	d.read(&receipt, "publish", "supplier:dashboard:42", "timeline.updated", timeline, "--id=evt-1")
	if receipt.ID != "evt-1" || receipt.Seq == 0 {
		t.Errorf("receipt %+v", receipt)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	// The simulator takes what is signed right, and nothing else.
	if err := d.sims.StudioCloud.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if out := d.do("publish", "supplier:dashboard:42", "timeline.updated", timeline, "--id=evt-1"); !strings.Contains(out, "already") {
		t.Errorf("the second time: %s", out)
	}
	if got := d.run("publish", "supplier:dashboard:*", "timeline.updated", timeline); got.code != exitFailed || !strings.Contains(got.errors, "channel_wildcard") || strings.Count(got.errors, "\n") != 1 {
		t.Errorf("on a pattern: %+v", got)
	}
}

func TestVendorsWebhookIsSeenByTail(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ended := make(chan result, 1)
	go func() {
		ended <- wedsyncWith(t.Context(), nil, strings.NewReader(""), "tail", "couple:updates:*", "--count=1", "--addr", d.node.URL(), "--data", d.node.cfg.Data)
	}()
	waitMetric(t, d.node.URL(), "wedsync_ws_subscriptions 1")
	hook := d.sims.VenueMaster.Webhooks()[0]
	answers, err := d.sims.VenueMaster.Send(t.Context(), d.node.URL()+"/api/webhooks/venuemaster/sim-venuemaster", hook)
	if err != nil || answers[0].Status != http.StatusAccepted {
		t.Fatalf("answered %+v, %v", answers, err)
	}
	if got := <-ended; got.code != exitOK || !strings.Contains(got.out, "  couple:updates:") || !strings.Contains(got.out, "  webhook:sim-venuemaster  ") {
		t.Errorf("%+v", got)
	}
}

func TestIntegrationsAreManagedByCommand(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	if out := d.do("integrations"); !strings.Contains(out, "\nsim-slack ") || strings.Contains(out, "incomplete") {
		t.Errorf("list:\n%s", out)
	}
	var listed []event.Integration
	d.read(&listed, "integrations", "list")
	if len(listed) != len(d.sims.All()) {
		t.Errorf("listed %d", len(listed))
	}
	if out := d.do("mappings"); !strings.Contains(out, "sim-milestones") || !strings.Contains(out, "journey:milestone:*") {
		t.Errorf("mappings:\n%s", out)
	}
	var mappings []event.Mapping
	if d.read(&mappings, "mappings"); len(mappings) != 4 {
		t.Errorf("listed %d mappings", len(mappings))
	}

	if out := d.do("integrations", "pause", "sim-slack", "--reason=holiday"); out != "sim-slack is paused\n" {
		t.Errorf("pause: %s", out)
	}
	var shown event.Integration
	if d.read(&shown, "integrations", "show", "sim-slack"); shown.Paused == nil || shown.Paused.Reason != "holiday" || shown.Paused.By != "admin:admin" {
		t.Errorf("paused: %+v", shown.Paused)
	}
	if out := d.do("integrations"); !strings.Contains(out, "paused: holiday") {
		t.Errorf("list of a paused one:\n%s", out)
	}
	var health event.Health
	var healths []event.Health
	d.read(&healths, "integrations", "health", "sim-slack")
	if health = healths[0]; health.State != event.Paused {
		t.Errorf("health of a paused one: %+v", health)
	}
	if d.read(&healths, "integrations", "health"); len(healths) != len(d.sims.All()) {
		t.Errorf("health of %d", len(healths))
	}
	if out := d.do("integrations", "health"); !strings.Contains(out, "paused") || !strings.Contains(out, "sim-email") {
		t.Errorf("health:\n%s", out)
	}
	for _, c := range [][]string{{"resume", "sends again"}, {"reset", "tries again at once"}, {"reinstate", "works again"}} {
		if out := d.do("integrations", c[0], "sim-slack"); out != "sim-slack "+c[1]+"\n" {
			t.Errorf("%s: %s", c[0], out)
		}
	}
	var resumed event.Integration
	if d.read(&resumed, "integrations", "show", "sim-slack"); resumed.Paused != nil {
		t.Errorf("resumed: %+v", resumed.Paused)
	}

	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("xoxb-new\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := d.do("integrations", "secrets", "set", "sim-slack", "bot_token=@"+secret, "signing_secret=-"); out != "sim-slack has its secrets\n" {
		t.Errorf("secrets: %s", out)
	}
	if got := d.run("integrations", "secrets", "set", "sim-slack", "nonsense=x"); got.code != exitFailed || !strings.Contains(got.errors, "nonsense") {
		t.Errorf("an unknown secret: %+v", got)
	}

	if out := d.do("mappings", "delete", "sim-milestones"); out != "mapping sim-milestones is deleted\n" {
		t.Errorf("delete a mapping: %s", out)
	}
	if out := d.do("integrations", "delete", "sim-slack", "--json"); strings.Join(strings.Fields(out), "") != `{"id":"sim-slack"}` {
		t.Errorf("delete: %s", out)
	}
	if got := d.run("integrations", "show", "sim-slack"); got.code != exitFailed || !strings.Contains(got.errors, "integration_unknown") {
		t.Errorf("a deleted one: %+v", got)
	}
}

func TestDeadLettersAreReplayedByCommand(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	if out := d.do("dead"); out != "no dead letters\n" {
		t.Errorf("none yet: %s", out)
	}
	mend := d.sims.StudioCloud.Faults().Add(vendors.Fault{Status: 422})
	d.do("publish", "supplier:dashboard:42", "timeline.updated", timeline, "--id=refused")
	page := d.waitDead(1)
	letter := page.Items[0]
	if letter.Letter.Event.ID != "refused" || letter.Letter.Delivery.Integration != "sim-studiocloud" {
		t.Errorf("dead letter %+v", letter.Letter)
	}
	if out := d.do("dead", "list", "--integration=sim-studiocloud", "--limit=1"); !strings.Contains(out, "sim-studiocloud") || !strings.Contains(out, "timeline.updated") {
		t.Errorf("list:\n%s", out)
	}
	seq := strconv.FormatUint(letter.Seq, 10)
	if out := d.do("dead", "--after", seq); out != "no dead letters\n" {
		t.Errorf("behind the last: %s", out)
	}
	var shown deadLetter
	if d.read(&shown, "dead", "show", seq); len(shown.Letter.Attempts) == 0 || len(shown.Letter.Delivery.Body) == 0 {
		t.Errorf("show: %+v", shown)
	}

	mend()
	if out := d.do("dead", "replay", seq); out != "dead letter "+seq+" is on its way again\n" {
		t.Errorf("replay: %s", out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := d.sims.StudioCloud.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if got := d.run("dead", "replay", seq, "--json"); got.code != exitFailed || !strings.Contains(got.errors, "dead letter "+seq+": ") {
		t.Errorf("replayed twice: %+v", got)
	}

	d.sims.StudioCloud.Faults().Add(vendors.Fault{Status: 422})
	d.do("publish", "supplier:dashboard:42", "timeline.updated", timeline)
	seq = strconv.FormatUint(d.waitDead(1).Items[0].Seq, 10)
	if out := d.do("dead", "discard", seq, "--json"); out != `{"seq":`+seq+"}\n" {
		t.Errorf("discard: %s", out)
	}
	if got := d.run("dead", "show", seq); got.code != exitFailed || !strings.Contains(got.errors, "dead_letter_unknown") {
		t.Errorf("a discarded one: %+v", got)
	}
}

// waitDead asks until there are so many dead letters.
func (d *desk) waitDead(count int) deadPage {
	d.t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var page deadPage
		if d.read(&page, "dead"); len(page.Items) >= count {
			return page
		}
		select {
		case <-tick.C:
		case <-deadline:
			d.t.Fatalf("%d dead letters, want %d", len(page.Items), count)
		}
	}
}

func TestSLOWithoutClickHouse(t *testing.T) {
	t.Parallel()
	n := startNode(t, testConfig(t))
	got := wedsync(t, "slo", "--by=wedding", "--addr", n.URL(), "--data", n.cfg.Data)
	if got.code != exitFailed || !strings.Contains(got.errors, "analytics_missing") || strings.Count(got.errors, "\n") != 1 {
		t.Errorf("by wedding: %+v", got)
	}
	got = wedsync(t, "slo", "--json", "--addr", n.URL(), "--data", n.cfg.Data)
	if got.code != exitOK || !strings.Contains(got.out, `"source": "live"`) || !strings.Contains(got.out, `"why": "this node has no ClickHouse"`) {
		t.Errorf("%+v", got)
	}
}

func TestManyDeadLettersAreReplayedByCommand(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	mend := d.sims.StudioCloud.Faults().Add(vendors.Fault{Status: 422})
	for i := range 3 {
		d.do("publish", "supplier:dashboard:42", "timeline.updated", timeline, fmt.Sprintf("--id=refused-%d", i))
	}
	d.waitDead(3)
	if got := d.run("integrations", "test", "sim-studiocloud"); got.code != exitFailed || !strings.Contains(got.errors, "did not take it: http_422") || !strings.Contains(got.out, "dead") {
		t.Errorf("a test of a vendor that refuses: %+v", got)
	}
	mend()
	if out := d.do("integrations", "test", "sim-studiocloud", "--type=timeline.updated"); !strings.Contains(out, "delivered") {
		t.Errorf("a test: %s", out)
	}
	if out := d.do("dead", "replay", "--all", "--reason=park_limit"); out != "0 were looked at\n" {
		t.Errorf("of another reason: %s", out)
	}
	if out := d.do("dead", "replay", "--all", "--integration=sim-studiocloud", "--since=1h", "--dry-run"); !strings.Contains(out, "http_422") || !strings.HasSuffix(out, "3 would be replayed\n") {
		t.Errorf("a dry run: %s", out)
	}
	var found struct{ Items []replayedDead }
	if d.read(&found, "dead", "replay", "--all"); len(found.Items) != 3 || found.Items[0].Problem != "" {
		t.Errorf("replayed: %+v", found)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := d.sims.StudioCloud.Wait(ctx, 4); err != nil { // with the test's
		t.Fatal(err)
	}
	var order []string
	for _, r := range d.sims.StudioCloud.Received() {
		if r.Taken && strings.HasPrefix(r.EventID, "refused-") {
			order = append(order, r.EventID)
		}
	}
	if !slices.Equal(order, []string{"refused-0", "refused-1", "refused-2"}) {
		t.Errorf("they came as %v", order)
	}
}

// A rotation has an overlap in which the old secret works beside the new one, in both directions.
func TestSecretsAreRotatedByCommand(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	sends := func() int { // what the venue is answered that knows the old secret
		t.Helper()
		sent, err := d.sims.VenueMaster.Send(t.Context(), d.node.URL()+"/api/webhooks/venuemaster/sim-venuemaster", d.sims.VenueMaster.Webhooks()[0])
		if err != nil {
			t.Fatal(err)
		}
		return sent[0].Status
	}
	for _, name := range []string{"signing", "webhook"} {
		made := strings.TrimSpace(d.do("integrations", "secrets", "rotate", "sim-venuemaster", name))
		if !strings.HasPrefix(made, "whsec_") || strings.Contains(d.do("integrations", "show", "sim-venuemaster"), made) {
			t.Errorf("rotated to %s", made)
		}
	}
	if out := d.do("integrations", "test", "sim-venuemaster"); !strings.Contains(out, "delivered") {
		t.Errorf("within the overlap, what is sent: %s", out)
	}
	if status := sends(); status != http.StatusAccepted {
		t.Errorf("within the overlap, what comes in is answered %d", status)
	}
	d.do("integrations", "secrets", "retire", "sim-venuemaster")
	if got := d.run("integrations", "test", "sim-venuemaster"); got.code != exitFailed || !strings.Contains(got.out, "401") {
		t.Errorf("after it, what is sent: %+v", got)
	}
	if status := sends(); status != http.StatusUnauthorized {
		t.Errorf("after it, what comes in is answered %d", status)
	}
	if got := d.run("integrations", "secrets", "rotate", "sim-slack", "bot_token"); got.code != exitFailed || !strings.Contains(got.errors, "secrets_invalid") {
		t.Errorf("a secret of the vendor's making: %+v", got)
	}
	if got := d.run("integrations", "secrets", "retire", "nobody"); got.code != exitFailed || !strings.Contains(got.errors, "integration_unknown") {
		t.Errorf("nobody's: %+v", got)
	}
}
