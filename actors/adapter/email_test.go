package adapter_test

import (
	"crypto/x509"
	"encoding/json"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

func mailOf(t *testing.T, conn adapter.Connection, ev *event.Event) *event.Mail {
	t.Helper()
	body, err := conn.Encode(ev)
	if err != nil {
		t.Fatal(err)
	}
	d := &event.Delivery{ID: "dlv_1", EventID: ev.ID, AcceptedAt: ev.AcceptedAt, Body: body}
	call, err := conn.Call(d, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	again, err := conn.Call(d, time.Unix(1_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	if a, b := call.Mail, again.Mail; a.MessageID != b.MessageID || !a.Date.Equal(b.Date) || a.Calendar != b.Calendar || a.Text != b.Text {
		t.Errorf("a retry sends another mail: %+v and %+v", a, b)
	}
	return call.Mail
}

// property gives the value of a line of the calendar, unfolded; "" where it is missing.
func property(m *event.Mail, name string) string {
	for line := range strings.SplitSeq(strings.ReplaceAll(m.Calendar, "\r\n ", ""), "\r\n") {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return value
		}
	}
	return ""
}

func TestEmailInvitation(t *testing.T) {
	t.Parallel()
	conn := connected(t, "email")
	first := sampleOf(t, "email", adapter.TypeTimelineUpdated)
	m := mailOf(t, conn, first)
	for name, want := range map[string]string{
		"METHOD": "REQUEST", "UID": "wedding-cpl_7Qm2x@wedsync", "SEQUENCE": "4711", "STATUS": "CONFIRMED",
		"DTSTAMP": "20260314T092653Z", "DTSTART": "20260620T140000Z", "DTEND": "20260620T150000Z",
		"SUMMARY": "Wedding: Amélie & Jonas", "LOCATION": `Château de Vaux\, Orangerie`,
		"ORGANIZER;CN=Weddings": "mailto:w@example.com",
	} {
		if got := property(m, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if m.CalMethod != "REQUEST" || m.MessageID != "dlv_1@example.com" || m.References != "wedding-cpl_7Qm2x@example.com" || m.Port != 587 || m.TLS != "starttls" {
		t.Errorf("mail %+v", m)
	}
	later := *first
	later.Seq++
	if got := property(mailOf(t, conn, &later), "SEQUENCE"); got != "4712" {
		t.Errorf("the next event has SEQUENCE %s", got)
	}
	later.Seq = 1<<40 + 5
	if got := property(mailOf(t, conn, &later), "SEQUENCE"); got != "5" {
		t.Errorf("a far position has SEQUENCE %s, want what fits 31 bits", got)
	}
	if got := property(mailOf(t, conn, withPayload(t, first, map[string]any{"sequence": 3})), "SEQUENCE"); got != "3" {
		t.Errorf("SEQUENCE %s, want the payload's", got)
	}
	ends := mailOf(t, conn, withPayload(t, first, map[string]any{"endTime": "2026-06-21T02:00:00+02:00"}))
	if got := property(ends, "DTEND"); got != "20260621T000000Z" {
		t.Errorf("DTEND %s", got)
	}
}

func TestEmailCancel(t *testing.T) {
	t.Parallel()
	conn := connected(t, "email")
	ev := sampleOf(t, "email", adapter.TypeWeddingCancelled)
	m := mailOf(t, conn, ev)
	if m.CalMethod != "CANCEL" || property(m, "METHOD") != "CANCEL" || property(m, "STATUS") != "CANCELLED" || property(m, "UID") != "wedding-cpl_7Qm2x@wedsync" {
		t.Errorf("calendar %s", m.Calendar)
	}
	m = mailOf(t, conn, withPayload(t, ev, map[string]any{"ceremonyTime": nil, "venue": nil}))
	if m.CalMethod != "CANCEL" || property(m, "DTSTART") != "" {
		t.Errorf("calendar %s", m.Calendar)
	}
}

func TestEmailWithoutInvitation(t *testing.T) {
	t.Parallel()
	conn := connected(t, "email")
	guests := sampleOf(t, "email", adapter.TypeGuestCountChanged)
	if m := mailOf(t, conn, guests); m.Calendar != "" || m.CalMethod != "" {
		t.Errorf("a guest count carries %s", m.Calendar)
	}
	timeline := sampleOf(t, "email", adapter.TypeTimelineUpdated)
	if m := mailOf(t, conn, withPayload(t, timeline, map[string]any{"ceremonyTime": nil})); m.Calendar != "" {
		t.Errorf("a timeline without a time carries %s", m.Calendar)
	}
	nobody := *withPayload(t, guests, map[string]any{"coupleId": nil})
	nobody.WeddingID = ""
	if m := mailOf(t, conn, &nobody); m.References != "" {
		t.Errorf("references %q", m.References)
	}
}

func TestEmailEncodeErrors(t *testing.T) {
	t.Parallel()
	conn := connected(t, "email")
	timeline := sampleOf(t, "email", adapter.TypeTimelineUpdated)
	moved := sampleOf(t, "email", adapter.TypeWeddingDateChanged)
	encodeError(t, conn, withPayload(t, moved, map[string]any{"ceremonyTime": nil}), "ceremonyTime")
	encodeError(t, conn, withPayload(t, timeline, map[string]any{"ceremonyTime": "at four"}), "ceremonyTime")
	encodeError(t, conn, withPayload(t, timeline, map[string]any{"endTime": "late"}), "endTime")
	encodeError(t, conn, withPayload(t, timeline, map[string]any{"endTime": "2026-06-20T16:00:00+02:00"}), "endTime")
	encodeError(t, conn, withPayload(t, timeline, map[string]any{"sequence": "x"}), "sequence")
	nobody := *withPayload(t, timeline, map[string]any{"coupleId": nil})
	nobody.WeddingID = ""
	encodeError(t, conn, &nobody, "coupleId")
}

// TestEmailIsInert puts what could break out of a header, of HTML or of a calendar into every text.
func TestEmailIsInert(t *testing.T) {
	t.Parallel()
	evil := "x\r\nBcc: all@example.com\r\n<script>alert(1)</script>;END:VEVENT,\u2028"
	in := event.Integration{Settings: json.RawMessage(`{"host":"h","from":"\"W;X:Y, \\\"Z\\\"\" <w@example.com>","to":"a@example.com"}`)}
	conn := connect(t, "email", string(in.Settings), nil)
	ev := withPayload(t, sampleOf(t, "email", adapter.TypeTimelineUpdated), map[string]any{
		"coupleName": evil, "venue": evil, "notes": evil, "schedule": []string{evil}, "reason": evil,
	})
	m := mailOf(t, conn, ev)
	if strings.ContainsAny(m.Subject, "\r\n") {
		t.Errorf("subject %q", m.Subject)
	}
	if strings.Contains(m.HTML, "<script>") {
		t.Errorf("HTML %s", m.HTML)
	}
	if n := strings.Count(m.Calendar, "\r\nEND:VEVENT\r\n"); n != 1 {
		t.Errorf("%d events end in %s", n, m.Calendar)
	}
	if got := property(m, "ORGANIZER;CN=W X Y Z"); got != "mailto:w@example.com" {
		t.Errorf("organizer %q in %s", got, m.Calendar)
	}
	for line := range strings.SplitSeq(m.Calendar, "\r\n") {
		if len(line) > 75 {
			t.Errorf("a line of %d bytes: %s", len(line), line)
		}
	}
	odd := *ev
	odd.WeddingID = "<a b>"
	if m := mailOf(t, conn, &odd); strings.ContainsAny(m.References, "<> ") || !strings.HasPrefix(property(m, "UID"), "wedding-") {
		t.Errorf("references %q, calendar %s", m.References, m.Calendar)
	}
}

func TestEmailDate(t *testing.T) {
	t.Parallel()
	conn := connected(t, "email")
	body, err := conn.Encode(sampleOf(t, "email", adapter.TypeGuestCountChanged))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1773480413, 0)
	call, err := conn.Call(&event.Delivery{ID: "dlv_1", Body: body}, now)
	if err != nil || !call.Mail.Date.Equal(now) {
		t.Errorf("without the time of acceptance the date is %v, %v", call, err)
	}
}

// TestEmailOverSTARTTLS: the password and the mail go over TLS to a server that is trusted, and
// nowhere else.
func TestEmailOverSTARTTLS(t *testing.T) {
	t.Parallel()
	web := httptest.NewTLSServer(nil) // for its certificate of 127.0.0.1
	defer web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	sim, err := vendors.StartEmail(t.Context(), vendors.Config{Certificate: &web.TLS.Certificates[0]})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sim.Close() }()
	in, secrets := sim.Integration("int_1")
	send := func(in event.Integration, roots *x509.CertPool) (adapter.Verdict, *event.Answer) {
		conn := connect(t, "email", string(in.Settings), secrets)
		ev := sampleOf(t, "email", "timeline.updated")
		body, err := conn.Encode(ev)
		if err != nil {
			t.Fatal(err)
		}
		d := &event.Delivery{ID: event.DeliveryID(ev.Channel, ev.ID, in.ID), EventID: ev.ID, AcceptedAt: ev.AcceptedAt, Body: body}
		call, err := conn.Call(d, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		sender := delivery.NewSender(delivery.SenderConfig{Guard: delivery.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}), RootCAs: roots})
		defer sender.Close()
		answer := sender.Do(t.Context(), call)
		return conn.Classify(d, answer), answer
	}
	if v, answer := send(in, nil); v.Kind == adapter.KindDelivered || delivery.Reason(answer.Err) != delivery.ReasonTLS {
		t.Errorf("to a server that is not trusted: %+v, %v", v, answer.Err)
	}
	if v, answer := send(withSetting(in, "tls", "none"), roots); v.Kind == adapter.KindDelivered {
		t.Errorf("in the clear: %+v, %v", v, answer.Err)
	}
	if got := len(sim.Received()); got != 0 {
		t.Fatalf("the server took %d mails before TLS", got)
	}
	if v, answer := send(in, roots); v.Kind != adapter.KindDelivered {
		t.Errorf("over TLS: %+v, %v", v, answer.Err)
	}
	if got := len(sim.Received()); got != 1 {
		t.Errorf("the server took %d mails, want 1", got)
	}
}
