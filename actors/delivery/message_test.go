package delivery_test

import (
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
)

const invite = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:w1\r\nSUMMARY:Trauung Jürgen\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"

// part is a leaf of a message, with the way to it.
type part struct{ path, contentType, disposition, body string }

// parts takes a message apart.
func parts(t *testing.T, path string, header func(string) string, body io.Reader) (out []part) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(header("Content-Type"))
	if err != nil {
		t.Fatalf("content type %q: %v", header("Content-Type"), err)
	}
	if strings.HasPrefix(kind, "multipart/") {
		r := multipart.NewReader(body, params["boundary"])
		for {
			p, err := r.NextRawPart()
			if errors.Is(err, io.EOF) {
				return out
			}
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, parts(t, path+strings.TrimPrefix(kind, "multipart/")+"/", p.Header.Get, p)...)
		}
	}
	switch enc := header("Content-Transfer-Encoding"); enc {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	default:
		t.Fatalf("transfer encoding %q", enc)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return []part{{path, header("Content-Type"), header("Content-Disposition"), string(text)}}
}

// sendAndParse sends a mail through a server and reads what arrived.
func sendAndParse(t *testing.T, change func(*event.Mail)) (*mail.Message, []part) {
	t.Helper()
	m := newMailServer(t, nil, false, nil)
	out := m.mail()
	change(out)
	s := newSender(t, delivery.SenderConfig{Now: func() time.Time { return t0 }})
	wantAnswer(t, s.Do(within(t, time.Minute), &event.Call{Mail: out}), 250, "")
	got := m.received(t)
	msg, err := mail.ReadMessage(strings.NewReader(got.data))
	if err != nil {
		t.Fatal(err)
	}
	return msg, parts(t, "", msg.Header.Get, msg.Body)
}

func TestMailInvitation(t *testing.T) {
	t.Parallel()
	date := time.Date(2026, 6, 1, 9, 30, 0, 0, time.FixedZone("", 2*3600))
	msg, leaves := sendAndParse(t, func(m *event.Mail) {
		m.From = "Jürgen & Ann <couple@wedding.test>"
		m.To = []string{"photos@vendor.test", "Das Büro <office@vendor.test>"}
		m.Subject = "Zeremonie jetzt um 16:00 – bitte bestätigen"
		m.Text, m.HTML = "Um 16:00.\r\n.\r\nEnde", "<p>Um 16:00 für alle</p>"
		m.Calendar, m.CalMethod = invite, "REQUEST"
		m.Date, m.MessageID, m.References = date, "dlv_7@wedsync.test", "dlv_1@wedsync.test"
	})
	h := msg.Header
	for name, want := range map[string]string{
		"Message-ID": "<dlv_7@wedsync.test>", "References": "<dlv_1@wedsync.test>", "In-Reply-To": "<dlv_1@wedsync.test>",
		"MIME-Version": "1.0", "User-Agent": "wedsync", "X-Mailer": "",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got, err := h.Date(); err != nil || !got.Equal(date) {
		t.Errorf("date %s, %v; want %s", got, err, date)
	}
	var dec mime.WordDecoder
	if got, _ := dec.DecodeHeader(h.Get("Subject")); got != "Zeremonie jetzt um 16:00 – bitte bestätigen" {
		t.Errorf("subject %q", got)
	}
	from, err := h.AddressList("From")
	if err != nil || len(from) != 1 || *from[0] != (mail.Address{Name: "Jürgen & Ann", Address: "couple@wedding.test"}) {
		t.Errorf("from %v, %v", from, err)
	}
	to, err := h.AddressList("To")
	if err != nil || len(to) != 2 || *to[1] != (mail.Address{Name: "Das Büro", Address: "office@vendor.test"}) {
		t.Errorf("to %v, %v", to, err)
	}
	want := []part{
		{"mixed/alternative/", "text/plain; charset=UTF-8", "", "Um 16:00.\r\n.\r\nEnde"},
		{"mixed/alternative/", "text/html; charset=UTF-8", "", "<p>Um 16:00 für alle</p>"},
		{"mixed/alternative/", "text/calendar; method=REQUEST; charset=UTF-8", "", invite},
		{"mixed/", `application/ics; name="invite.ics"`, `attachment; filename="invite.ics"`, invite},
	}
	if !slices.Equal(leaves, want) {
		t.Errorf("parts:\n%q\nwant\n%q", leaves, want)
	}
}

func TestMailForms(t *testing.T) {
	t.Parallel()
	_, leaves := sendAndParse(t, func(*event.Mail) {})
	if want := []part{{"", "text/plain; charset=UTF-8", "", "16:00\r\n"}}; !slices.Equal(leaves, want) {
		t.Errorf("text alone: %q, want %q", leaves, want)
	}
	_, leaves = sendAndParse(t, func(m *event.Mail) { m.Text, m.HTML = "", "<p>16:00</p>" })
	if want := []part{{"", "text/html; charset=UTF-8", "", "<p>16:00</p>\r\n"}}; !slices.Equal(leaves, want) {
		t.Errorf("HTML alone: %q, want %q", leaves, want)
	}
	msg, leaves := sendAndParse(t, func(m *event.Mail) { m.HTML = "<p>16:00</p>" })
	if len(leaves) != 2 || leaves[0].path != "alternative/" || leaves[1].contentType != "text/html; charset=UTF-8" {
		t.Errorf("text and HTML: %q", leaves)
	}
	if got, err := msg.Header.Date(); err != nil || !got.Equal(t0) {
		t.Errorf("date %s, %v; without one of its own it is now, %s", got, err, t0)
	}
	_, leaves = sendAndParse(t, func(m *event.Mail) { m.Calendar, m.CalMethod = invite, "CANCEL" })
	if len(leaves) != 3 || leaves[1].contentType != "text/calendar; method=CANCEL; charset=UTF-8" {
		t.Errorf("text and calendar: %q", leaves)
	}
	msg, _ = sendAndParse(t, func(m *event.Mail) { m.Subject = "Hello\r\nBcc: victim@example.test\r\n\r\nbody" })
	if msg.Header.Get("Bcc") != "" {
		t.Error("the subject smuggled a header in")
	}
	msg, _ = sendAndParse(t, func(m *event.Mail) { m.MessageID = "" })
	if msg.Header.Get("Message-ID") == "" {
		t.Error("a mail without a Message-ID")
	}
}

func TestMailRefusesWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	s := newSender(t, delivery.SenderConfig{})
	for field, change := range map[string]func(*event.Mail){
		"from":            func(m *event.Mail) { m.From = "nobody" },
		"to":              func(m *event.Mail) { m.To = []string{"ann@wedding.test", "a\r\nb@c"} },
		"tls":             func(m *event.Mail) { m.TLS = "ssl3" },
		"host":            func(m *event.Mail) { m.Host = "" },
		"calendar method": func(m *event.Mail) { m.CalMethod = "PUBLISH\r\nX: y" },
		"message id":      func(m *event.Mail) { m.MessageID = "a@b>\r\nBcc: <c@d" },
		"references":      func(m *event.Mail) { m.References = "a@b c@d" },
	} {
		mail := (&mailServer{host: "127.0.0.1", port: 1}).mail()
		change(mail)
		a := s.Do(within(t, time.Minute), &event.Call{Mail: mail})
		var wrong *delivery.CallError
		if !errors.As(a.Err, &wrong) || wrong.Field != field || !strings.Contains(a.Err.Error(), field) {
			t.Errorf("%s: got %v, want a *CallError about it", field, a.Err)
		}
	}
	mail := (&mailServer{host: "127.0.0.1", port: 1}).mail()
	mail.To = nil
	var wrong *delivery.CallError
	if a := s.Do(within(t, time.Minute), &event.Call{Mail: mail}); !errors.As(a.Err, &wrong) || wrong.Field != "to" {
		t.Errorf("no recipient: %v", a.Err)
	}
}
