package adapter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// way is one way of connecting a vendor: its golden files lie in testdata/<vendor>/<name>.
type way struct {
	name     string
	connect  func(v vendors.Vendor, id string) (event.Integration, event.Secrets)
	outgoing string // the secret that what is sent depends on
	faults   []faultCase
}

// faultCase is what a fault must come to.
type faultCase struct {
	name    string
	fault   vendors.Fault
	kind    adapter.Kind
	faulted bool
	reason  string
	after   time.Duration
	taken   bool
}

func plain(v vendors.Vendor, id string) (event.Integration, event.Secrets) { return v.Integration(id) }

// ways must have an entry for each vendor that is registered.
func ways() map[string][]way {
	signed := []way{{name: "webhook", connect: plain, outgoing: "signing", faults: httpFaults()}}
	return map[string][]way{
		"studiocloud": signed,
		"venuemaster": signed,
		"whatsapp": {
			{name: "template", connect: plain, outgoing: "access_token", faults: whatsAppFaults()},
			{name: "text", outgoing: "access_token", faults: whatsAppTextFaults(), connect: func(v vendors.Vendor, id string) (event.Integration, event.Secrets) {
				in, secrets := v.Integration(id)
				return withSetting(in, "mode", "text"), secrets
			}},
		},
		"slack": {
			{name: "webhook", connect: plain, outgoing: "webhook_url", faults: slackHookFaults()},
			{name: "bot", outgoing: "bot_token", faults: slackBotFaults(), connect: func(v vendors.Vendor, id string) (event.Integration, event.Secrets) {
				return v.(*vendors.Slack).BotIntegration(id)
			}},
		},
		"email": {{name: "smtp", connect: plain, outgoing: "password", faults: emailFaults()}},
	}
}

// everywhere are the faults below any protocol.
func everywhere() []faultCase {
	return []faultCase{
		{name: "slow", fault: vendors.Fault{Latency: event.Duration(time.Millisecond), Jitter: event.Duration(time.Millisecond)}, kind: adapter.KindDelivered, taken: true},
		{name: "reset", fault: vendors.Fault{Reset: true}, kind: adapter.KindRetry, faulted: true},
		{name: "hang", fault: vendors.Fault{Hang: true}, kind: adapter.KindRetry, faulted: true},
		{name: "answer lost", fault: vendors.Fault{LoseAnswer: true}, kind: adapter.KindRetry, faulted: true, taken: true},
	}
}

func httpFaults() []faultCase {
	return []faultCase{
		{name: "400", fault: vendors.Fault{Status: 400}, kind: adapter.KindDead, reason: "http_400"},
		{name: "401", fault: vendors.Fault{Status: 401}, kind: adapter.KindPause, reason: "http_401"},
		{name: "403", fault: vendors.Fault{Status: 403}, kind: adapter.KindPause, reason: "http_403"},
		{name: "404", fault: vendors.Fault{Status: 404}, kind: adapter.KindDead, reason: "http_404"},
		{name: "408", fault: vendors.Fault{Status: 408}, kind: adapter.KindRetry, faulted: true, reason: "http_408"},
		{name: "410", fault: vendors.Fault{Status: 410}, kind: adapter.KindPause, reason: "http_410"},
		{name: "429", fault: vendors.Fault{Status: 429, RetryAfter: event.Duration(7 * time.Second)}, kind: adapter.KindRetry, reason: "http_429", after: 7 * time.Second},
		{name: "302", fault: vendors.Fault{Status: 302}, kind: adapter.KindRetry, faulted: true, reason: "http_302"},
		{name: "308", fault: vendors.Fault{Status: 308}, kind: adapter.KindPause, reason: "http_308"},
		{name: "500", fault: vendors.Fault{Status: 500}, kind: adapter.KindRetry, faulted: true, reason: "http_500"},
		{name: "502", fault: vendors.Fault{Status: 502}, kind: adapter.KindRetry, faulted: true, reason: "http_502"},
		{name: "503", fault: vendors.Fault{Status: 503, RetryAfter: event.Duration(2 * time.Second)}, kind: adapter.KindRetry, faulted: true, reason: "http_503", after: 2 * time.Second},
		{name: "504", fault: vendors.Fault{Status: 504}, kind: adapter.KindRetry, faulted: true, reason: "http_504"},
	}
}

func coded(kind adapter.Kind, faulted bool, after time.Duration, codes ...string) []faultCase {
	var all []faultCase
	for _, code := range codes {
		all = append(all, faultCase{
			name: code, fault: vendors.Fault{Code: code}, kind: kind, faulted: faulted, reason: code, after: after,
		})
	}
	return all
}

func whatsAppFaults() []faultCase {
	return slices.Concat(
		coded(adapter.KindRetry, true, 0, "2", "131000", "131016", "131057", "133004"),
		coded(adapter.KindRetry, false, 0, "4", "80007", "130429"),
		coded(adapter.KindRetry, false, 4*time.Second, "131056"),
		coded(adapter.KindRetry, false, 24*time.Hour, "131049"),
		coded(adapter.KindPause, false, 0, "0", "10", "190", "200", "299", "368", "131031", "131042", "131048"),
		coded(adapter.KindDead, false, 0, "100", "131008", "131009", "131026", "131050", "131051", "132000", "132001", "132005", "132007", "132012", "132015"),
		coded(adapter.KindDead, false, 0, "131047"), // a template needs no window, so this makes no sense
		[]faultCase{
			{name: "429", fault: vendors.Fault{Status: 429, RetryAfter: event.Duration(3 * time.Second)}, kind: adapter.KindRetry, reason: "130429", after: 3 * time.Second},
			{name: "503 with a code not listed", fault: vendors.Fault{Status: 503, Code: "999999"}, kind: adapter.KindRetry, faulted: true, reason: "999999"},
			{name: "400 with a code not listed", fault: vendors.Fault{Status: 400, Code: "999999"}, kind: adapter.KindDead, reason: "999999"},
			{name: "200 with a code not listed", fault: vendors.Fault{Status: 200, Code: "999999"}, kind: adapter.KindDead, reason: "999999"},
		},
	)
}

func whatsAppTextFaults() []faultCase {
	return coded(adapter.KindInstead, false, 0, "131047")
}

func slackHookFaults() []faultCase {
	return slices.Concat(
		coded(adapter.KindDead, false, 0, "invalid_payload", "user_not_found", "invalid_blocks", "no_text"),
		coded(adapter.KindPause, false, 0, "action_prohibited", "channel_not_found", "no_service", "channel_is_archived"),
		coded(adapter.KindRetry, true, 0, "rollup_error"),
		[]faultCase{
			{name: "429", fault: vendors.Fault{Status: 429, RetryAfter: event.Duration(time.Second)}, kind: adapter.KindRetry, reason: "rate_limited", after: time.Second},
			{name: "503", fault: vendors.Fault{Status: 503}, kind: adapter.KindRetry, faulted: true, reason: "http_503"},
			{name: "200 but not ok", fault: vendors.Fault{Status: 200, Code: "<html>"}, kind: adapter.KindRetry, faulted: true, reason: "unexpected_answer"},
		},
	)
}

func slackBotFaults() []faultCase {
	return slices.Concat(
		coded(adapter.KindRetry, false, 0, "ratelimited", "rate_limited"),
		coded(adapter.KindRetry, true, 0, "service_unavailable", "request_timeout", "fatal_error", "internal_error"),
		coded(adapter.KindPause, false, 0, "invalid_auth", "token_revoked", "missing_scope", "not_in_channel", "is_archived"),
		coded(adapter.KindDead, false, 0, "invalid_blocks", "msg_too_long", "a_code_of_tomorrow"),
		[]faultCase{
			{name: "429", fault: vendors.Fault{Status: 429, RetryAfter: event.Duration(30 * time.Second)}, kind: adapter.KindRetry, reason: "ratelimited", after: 30 * time.Second},
			{name: "503", fault: vendors.Fault{Status: 503}, kind: adapter.KindRetry, faulted: true, reason: "service_unavailable"},
		},
	)
}

func emailFaults() []faultCase {
	smtp := func(status int, kind adapter.Kind, faulted bool) faultCase {
		return faultCase{
			name: fmt.Sprint(status), fault: vendors.Fault{Status: status}, kind: kind, faulted: faulted, reason: fmt.Sprintf("smtp_%d", status),
		}
	}
	rcpt := smtp(452, adapter.KindRetry, true)
	rcpt.name, rcpt.fault.Stage = "452 for a recipient", "rcpt"
	unknown := smtp(550, adapter.KindDead, false)
	unknown.name, unknown.fault.Stage, unknown.fault.Contains = "550 for one recipient of two", "rcpt", "jonas"
	return []faultCase{
		smtp(421, adapter.KindRetry, true), smtp(450, adapter.KindRetry, false), smtp(451, adapter.KindRetry, true),
		smtp(452, adapter.KindRetry, true), smtp(530, adapter.KindPause, false), smtp(535, adapter.KindPause, false),
		smtp(550, adapter.KindDead, false), smtp(552, adapter.KindDead, false), smtp(554, adapter.KindDead, false),
		rcpt, unknown,
	}
}

// report is the table of what was tried, shown with -v.
type report struct {
	mu   sync.Mutex
	rows []string
}

func (r *report) add(t *testing.T, vendor, way, operation, result string) {
	t.Helper()
	if t.Failed() {
		result = "FAILED"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, vendor+"\t"+way+"\t"+operation+"\t"+result)
}

func (r *report) print(t *testing.T) {
	t.Helper()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nVENDOR\tWAY\tOPERATION\tRESULT")
	slices.SortStableFunc(r.rows, func(a, b string) int {
		nameA, _, _ := strings.Cut(a, "\t")
		nameB, _, _ := strings.Cut(b, "\t")
		return strings.Compare(nameA, nameB)
	})
	for _, row := range r.rows {
		fmt.Fprintln(w, row)
	}
	w.Flush()
	t.Log(b.String())
}

// TestConformance holds every registered vendor against its simulator and its golden files.
//
//nolint:tparallel // what one vendor is put through comes one after the other: the faults are the simulator's
func TestConformance(t *testing.T) {
	t.Parallel()
	seen := &arrivals{waiting: map[string]chan struct{}{}}
	set, err := vendors.StartAll(t.Context(), vendors.Config{Notify: seen.note})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	sender := delivery.NewSender(delivery.SenderConfig{
		Guard: delivery.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}),
	})
	t.Cleanup(sender.Close)
	rep := &report{}
	t.Run("vendors", func(t *testing.T) {
		for _, name := range adapter.Vendors() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				sim := set.Lookup(name)
				if sim == nil {
					t.Fatalf("%s has no simulator in loadtest/vendors", name)
				}
				if len(ways()[name]) == 0 {
					t.Fatalf("%s has no entry in ways()", name)
				}
				checkDescription(t, name)
				rep.add(t, name, "", "description", "complete")
				for _, w := range ways()[name] {
					// One after another: they share the simulator's faults.
					t.Run(w.name, func(t *testing.T) {
						c := &conformance{vendor: name, way: w, sim: sim, sender: sender, report: rep, seen: seen}
						c.run(t)
					})
				}
			})
		}
	})
	rep.print(t)
}

type conformance struct {
	vendor string
	way    way
	sim    vendors.Vendor
	sender *delivery.Sender
	report *report
	seen   *arrivals
	count  int
}

// arrivals tells when a simulator is done with a call, which can be after the caller has given up.
type arrivals struct {
	mu      sync.Mutex
	waiting map[string]chan struct{} // by id
}

func (a *arrivals) expect(id string) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	done := make(chan struct{})
	a.waiting[id] = done
	return done
}

func (a *arrivals) note(r vendors.Receipt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if done, ok := a.waiting[r.ID]; ok {
		close(done)
		delete(a.waiting, r.ID)
	}
}

func (c *conformance) run(t *testing.T) {
	t.Helper()
	a, err := adapter.Lookup(c.vendor)
	if err != nil {
		t.Fatal(err)
	}
	in, secrets := c.way.connect(c.sim, "int_conformance")
	conn, err := a.Connect(in, secrets)
	if err != nil {
		t.Fatal(err)
	}
	step := func(operation, result string, f func(t *testing.T)) {
		t.Run(strings.ReplaceAll(operation, " ", "_"), func(t *testing.T) {
			f(t)
			c.report.add(t, c.vendor, c.way.name, operation, result)
		})
	}
	samples := a.Describe().Samples
	for i := range samples {
		ev := &samples[i]
		step("golden "+ev.Type, "same bytes", func(t *testing.T) { t.Helper(); c.golden(t, conn, ev) })
		step("send "+ev.Type, "delivered", func(t *testing.T) { t.Helper(); c.send(t, conn, ev) })
	}
	step("unsupported type", "refused", func(t *testing.T) { t.Helper(); c.unsupported(t, a, conn) })
	step("wrong "+c.way.outgoing, "pause", func(t *testing.T) { t.Helper(); c.wrongSecret(t, a, in, secrets) })
	for _, f := range append(everywhere(), c.way.faults...) {
		step("fault "+f.name, verdictText(f.kind, f.faulted, f.after), func(t *testing.T) { t.Helper(); c.fault(t, conn, f) })
	}
	if p, ok := conn.(adapter.Prober); ok {
		step("probe", "delivered", func(t *testing.T) { t.Helper(); c.probe(t, conn, p) })
	}
	if _, ok := conn.(adapter.Receiver); ok {
		c.webhooks(t, a, in, secrets, step)
	}
}

func verdictText(kind adapter.Kind, faulted bool, after time.Duration) string {
	s := kind.String()
	if faulted {
		s += ", vendor's fault"
	}
	if after > 0 {
		s += ", after " + after.String()
	}
	return s
}

func (c *conformance) delivery(t *testing.T, conn adapter.Connection, ev *event.Event) *event.Delivery {
	t.Helper()
	body, err := conn.Encode(ev)
	if err != nil {
		t.Fatalf("Encode(%s): %v", ev.Type, err)
	}
	d := &event.Delivery{
		V: event.Version, ID: event.DeliveryID(ev.ID, "int_conformance"), EventID: ev.ID, EventSeq: ev.Seq,
		EventType: ev.Type, Channel: ev.Channel, Integration: "int_conformance", Vendor: c.vendor,
		WeddingID: ev.WeddingID, TraceParent: ev.TraceParent, AcceptedAt: ev.AcceptedAt, RoutedAt: ev.AcceptedAt, Body: body,
	}
	return stored(t, d)
}

// stored is the delivery as it comes out of the log.
func stored(t *testing.T, d *event.Delivery) *event.Delivery {
	t.Helper()
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var back event.Delivery
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(back.Body, d.Body) {
		t.Errorf("the log changes the body:\n%s\n%s", d.Body, back.Body)
	}
	return &back
}

// fresh gives each delivery of a test an id of its own.
func (c *conformance) fresh(t *testing.T, conn adapter.Connection) *event.Delivery {
	t.Helper()
	a, _ := adapter.Lookup(c.vendor)
	ev := a.Describe().Samples[0]
	c.count++
	ev.ID = fmt.Sprintf("%s-%s-%d", ev.ID, c.way.name, c.count)
	return c.delivery(t, conn, &ev)
}

func (c *conformance) golden(t *testing.T, conn adapter.Connection, ev *event.Event) {
	t.Helper()
	d := c.delivery(t, conn, ev)
	again := c.delivery(t, conn, ev)
	if !bytes.Equal(d.Body, again.Body) {
		t.Errorf("Encode is not deterministic:\n%s\n%s", d.Body, again.Body)
	}
	call, err := conn.Call(d, time.Unix(1773480413, 0))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join("testdata", c.vendor, c.way.name)
	checkGolden(t, filepath.Join(dir, ev.Type+".json"), string(d.Body)+"\n")
	checkGolden(t, filepath.Join(dir, ev.Type+".call.txt"), c.callText(call))
}

func checkGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; write it with: go test ./actors/adapter -update", err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got\n%s\nwant\n%s", path, got, want)
	}
}

// callText writes a call for a golden file, without what is of this run only.
func (c *conformance) callText(call *event.Call) string {
	var b strings.Builder
	if m := call.Mail; m != nil {
		fmt.Fprintf(&b, "TLS: %s\nUsername: %s\nFrom: %s\nTo: %s\nMessage-ID: %s\nReferences: %s\nDate: %s\nSubject: %s\n\n%s\n%s\n%s: %s",
			m.TLS, m.Username, m.From, strings.Join(m.To, ", "), m.MessageID, m.References, m.Date.Format(time.RFC3339),
			m.Subject, m.Text, m.HTML, m.CalMethod, strings.ReplaceAll(m.Calendar, "\r\n", "\n"))
		return b.String()
	}
	h := call.HTTP
	url := strings.Replace(h.URL, c.sim.URL(), "{simulator}", 1)
	if i := strings.Index(url, "/services/"); i >= 0 {
		url = url[:i] + "/services/{secret}"
	}
	fmt.Fprintf(&b, "%s %s\n", h.Method, url)
	for _, name := range slices.Sorted(maps.Keys(h.Header)) {
		value := strings.Join(h.Header[name], ", ")
		if name == "Authorization" {
			value = "Bearer {secret}"
		}
		fmt.Fprintf(&b, "%s: %s\n", name, value)
	}
	fmt.Fprintf(&b, "Recipient: %s\n\n%s\n", call.Recipient, h.Body)
	return b.String()
}

// try sends a delivery as the actor does.
func (c *conformance) try(ctx context.Context, t *testing.T, conn adapter.Connection, d *event.Delivery) adapter.Verdict {
	t.Helper()
	call, err := conn.Call(d, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return conn.Classify(d, c.sender.Do(ctx, call))
}

func (c *conformance) send(t *testing.T, conn adapter.Connection, ev *event.Event) {
	t.Helper()
	before := c.sim.Counts()
	d := c.delivery(t, conn, ev)
	for range 2 { // a retry has the same id, and is taken for the same
		if v := c.try(t.Context(), t, conn, d); v.Kind != adapter.KindDelivered || v.Reason != "" {
			t.Fatalf("verdict %+v, want delivered", v)
		}
	}
	all := c.sim.Received()
	first, second := all[len(all)-2], all[len(all)-1]
	if first.ID != d.ID || second.ID != d.ID || second.Repeat != first.Repeat+1 {
		t.Errorf("the simulator saw %q (repeat %d) and %q (repeat %d), want %q twice", first.ID, first.Repeat, second.ID, second.Repeat, d.ID)
	}
	if first.EventID != "" && first.EventID != ev.ID {
		t.Errorf("the simulator saw event %q, want %q", first.EventID, ev.ID)
	}
	if got := c.sim.Counts().Taken - before.Taken; got != 2 {
		t.Errorf("the simulator took %d calls, want 2", got)
	}
}

func (c *conformance) unsupported(t *testing.T, a adapter.Adapter, conn adapter.Connection) {
	t.Helper()
	ev := a.Describe().Samples[0]
	ev.Type = "nobody.knows_this"
	_, err := conn.Encode(&ev)
	if takesAll := a.Describe().Sends == nil; takesAll && err != nil {
		t.Errorf("it takes all types, but not %s: %v", ev.Type, err)
	} else if !takesAll && err != adapter.ErrUnsupported { //nolint:errorlint // it must be the sentinel itself
		t.Errorf("Encode(%s) gives %v, want ErrUnsupported", ev.Type, err)
	}
	for _, payload := range []string{``, `null`, `[]`, `"text"`, `{`} {
		ev := a.Describe().Samples[0]
		ev.Payload = json.RawMessage(payload)
		if _, err := conn.Encode(&ev); err == nil {
			t.Errorf("Encode takes the payload %q", payload)
		}
	}
}

func (c *conformance) wrongSecret(t *testing.T, a adapter.Adapter, in event.Integration, secrets event.Secrets) {
	t.Helper()
	wrong := maps.Clone(secrets)
	old := secrets.Current(c.way.outgoing).Reveal()
	wrong[c.way.outgoing] = []event.Secret{event.Secret(flip(old))}
	conn, err := a.Connect(in, wrong)
	if err != nil {
		t.Fatal(err)
	}
	before := c.sim.Counts().Taken
	v := c.try(t.Context(), t, conn, c.fresh(t, conn))
	if v.Kind != adapter.KindPause || v.Fault {
		t.Errorf("verdict %+v, want pause, no fault", v)
	}
	if strings.Contains(v.Detail, flip(old)) {
		t.Errorf("the detail shows the secret: %s", v.Detail)
	}
	if got := c.sim.Counts().Taken; got != before {
		t.Errorf("the simulator took a call with a wrong secret")
	}
}

// flip changes a character in the middle of a secret, keeping its form.
func flip(s string) string {
	b := []byte(s)
	i := len(b) - 4
	if b[i] == 'A' {
		b[i] = 'B'
	} else {
		b[i] = 'A'
	}
	return string(b)
}

func (c *conformance) fault(t *testing.T, conn adapter.Connection, f faultCase) {
	t.Helper()
	ctx := t.Context()
	if f.fault.Hang { // give up as soon as it does
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		f.fault.Match = func(*vendors.Receipt) bool { cancel(); return true }
	}
	before := c.sim.Counts().Taken
	remove := c.sim.Faults().Add(f.fault)
	d := c.fresh(t, conn)
	done := c.seen.expect(d.ID)
	v := c.try(ctx, t, conn, d)
	remove()
	if f.fault.Hang { // whether the vendor goes on with it then is not for us to know
		<-done
		f.taken = c.sim.Counts().Taken > before
	}
	if v.Kind != f.kind || v.Fault != f.faulted || v.Reason != f.reason || v.RetryAfter != f.after {
		t.Errorf("verdict %+v, want %s, reason %q", v, verdictText(f.kind, f.faulted, f.after), f.reason)
	}
	if taken := c.sim.Counts().Taken > before; taken != f.taken {
		t.Errorf("the simulator took it: %v, want %v", taken, f.taken)
	}
	if v.Kind == adapter.KindInstead {
		d.Body = v.Instead
	}
	if v = c.try(t.Context(), t, conn, d); v.Kind != adapter.KindDelivered {
		t.Errorf("after the fault: verdict %+v, want delivered", v)
	}
	all := c.sim.Received()
	if last := all[len(all)-1]; f.taken && f.kind != adapter.KindDelivered && last.Repeat == 0 {
		t.Errorf("the retry has another id than the try whose answer was lost")
	}
}

func (c *conformance) probe(t *testing.T, conn adapter.Connection, p adapter.Prober) {
	t.Helper()
	before := c.sim.Counts()
	call, err := p.Probe(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if v := conn.Classify(nil, c.sender.Do(t.Context(), call)); v.Kind != adapter.KindDelivered {
		t.Errorf("verdict %+v, want delivered", v)
	}
	defer c.sim.Faults().Add(vendors.Fault{Status: 503})()
	if v := conn.Classify(nil, c.sender.Do(t.Context(), call)); v.Kind != adapter.KindRetry || !v.Fault {
		t.Errorf("verdict %+v of a vendor that is down, want retry, fault", v)
	}
	if c.sim.Counts() != before {
		t.Error("a probe counts as a call")
	}
}

// inbox is the webhook address: it keeps what came, verified and decoded.
type inbox struct {
	*httptest.Server
	mu   sync.Mutex
	got  []arrival
	conn adapter.Connection
}

type arrival struct {
	in       *adapter.Inbound
	id       string
	err      error // of Verify
	received adapter.Reception
	decode   error
}

func newInbox(t *testing.T, conn adapter.Connection) *inbox {
	t.Helper()
	box := &inbox{conn: conn}
	box.Server = httptest.NewServer(http.HandlerFunc(box.serve))
	t.Cleanup(box.Close)
	return box
}

func (b *inbox) serve(w http.ResponseWriter, req *http.Request) {
	if h, ok := b.conn.(adapter.Handshaker); ok && req.Method == http.MethodGet {
		text, err := h.Handshake(req.URL.Query())
		if err != nil {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprint(w, text)
		return
	}
	var body bytes.Buffer
	_, _ = body.ReadFrom(req.Body)
	a := arrival{in: &adapter.Inbound{Header: req.Header, Body: body.Bytes()}}
	r := b.conn.(adapter.Receiver)
	if a.id, a.err = r.Verify(a.in, time.Now()); a.err == nil {
		a.received, a.decode = r.Decode(a.in)
	}
	b.mu.Lock()
	b.got = append(b.got, a)
	b.mu.Unlock()
	switch {
	case a.err != nil:
		w.WriteHeader(http.StatusUnauthorized)
	case a.decode != nil:
		w.WriteHeader(http.StatusUnprocessableEntity)
	case a.received.Reply != nil:
		_, _ = w.Write(a.received.Reply)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

func (b *inbox) take() []arrival {
	b.mu.Lock()
	defer b.mu.Unlock()
	got := b.got
	b.got = nil
	return got
}
