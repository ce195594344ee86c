package adapter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
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

func TestMain(m *testing.M) {
	// net/http's ends by itself, half a second after a body was refused.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"),
		// nats-server's ends with the process: it refreshes the clock that stamps all accounts' sources.
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).syncBlocks"),
		// glog's, which a dependency of protoactor's starts on import.
		goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"),
	)
}

// report is the table of what was tried, shown with -v.
type report struct {
	mu   sync.Mutex
	rows []string
}

// asked names the operations that planners ask for, by category and as the table has them.
func asked() map[event.Category]map[string]string {
	return map[event.Category]map[string]string{
		event.PhotographyCRM: {
			"send " + adapter.TypeTimelineUpdated:     "SendTimelineUpdate",
			"webhook " + adapter.TypeBookingConfirmed: "ReceiveBookingUpdate",
			"webhook " + adapter.TypeBookingUpdated:   "ReceiveBookingUpdate",
			"webhook " + adapter.TypeBookingCancelled: "ReceiveBookingUpdate",
			"sync profiles": "SyncClientProfiles",
		},
		event.VenueManagement: {
			"send " + adapter.TypeGuestCountChanged:  "SendGuestCountUpdate",
			"webhook " + adapter.TypeCapacityChanged: "ReceiveCapacityAlert",
			"send " + adapter.TypeEventDetails:       "SyncEventDetails",
			"webhook " + adapter.TypeEventDetails:    "SyncEventDetails",
		},
	}
}

func (r *report) add(t *testing.T, vendor, way, operation, result string) {
	t.Helper()
	if a, err := adapter.Lookup(vendor); err == nil {
		if name := asked()[a.Describe().Category][operation]; name != "" {
			operation += " (" + name + ")"
		}
	}
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
				checkDescription(t, name)
				rep.add(t, name, "", "description", "complete")
				if a, _ := adapter.Lookup(name); a.Describe().Internal {
					conformInside(t, name, rep, sender)
					return
				}
				sim := set.Lookup(name)
				if sim == nil {
					t.Fatalf("%s has no simulator in loadtest/vendors", name)
				}
				if len(ways()[name]) == 0 {
					t.Fatalf("%s has no entry in ways()", name)
				}
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
	if keeper, ok := conn.(adapter.ProfileKeeper); ok != a.Describe().Profiles {
		t.Errorf("it is described as one that keeps profiles: %v, and is one: %v", !ok, ok)
	} else if ok {
		step("golden profile", "same bytes", func(t *testing.T) { t.Helper(); c.goldenProfile(t, conn, keeper) })
		step("sync profiles", "created, updated", func(t *testing.T) { t.Helper(); c.profiles(t, conn, keeper) })
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
		V: event.Version, ID: event.DeliveryID(ev.Channel, ev.ID, "int_conformance"), EventID: ev.ID, EventSeq: ev.Seq,
		EventType: ev.Type, Channel: ev.Channel, Integration: "int_conformance", Vendor: c.vendor,
		WeddingID: ev.WeddingID, TraceParent: ev.TraceParent, AcceptedAt: ev.AcceptedAt, RoutedAt: ev.AcceptedAt, Body: body,
	}
	return stored(t, d)
}

// stored is the delivery as it comes out of the log.
func stored(t *testing.T, d *event.Delivery) *event.Delivery {
	t.Helper()
	var raw bytes.Buffer
	e := json.NewEncoder(&raw)
	e.SetEscapeHTML(false)
	if err := e.Encode(d); err != nil {
		t.Fatal(err)
	}
	var back event.Delivery
	if err := json.Unmarshal(raw.Bytes(), &back); err != nil {
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

// try sends a delivery as the actor does.
func (c *conformance) try(ctx context.Context, t *testing.T, conn adapter.Connection, d *event.Delivery) adapter.Verdict {
	t.Helper()
	now := time.Now()
	call, err := conn.Call(d, now)
	if err != nil {
		t.Fatal(err)
	}
	return conn.Classify(d, adapter.Exchange(ctx, conn, call, now, c.sender.Do))
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
	wrong[c.way.outgoing] = []event.Secret{event.SecretOf(flip(old))}
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
	now := time.Now()
	call, err := p.Probe(now)
	if err != nil {
		t.Fatal(err)
	}
	if v := conn.Classify(nil, adapter.Exchange(t.Context(), conn, call, now, c.sender.Do)); v.Kind != adapter.KindDelivered {
		t.Errorf("verdict %+v, want delivered", v)
	}
	defer c.sim.Faults().Add(vendors.Fault{Status: 503})()
	if v := conn.Classify(nil, adapter.Exchange(t.Context(), conn, call, now, c.sender.Do)); v.Kind != adapter.KindRetry || !v.Fault {
		t.Errorf("verdict %+v of a vendor that is down, want retry, fault", v)
	}
	if c.sim.Counts() != before {
		t.Error("a probe counts as a call")
	}
}
