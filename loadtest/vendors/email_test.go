package vendors_test

import (
	"encoding/json"
	"errors"
	"net"
	"net/smtp"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/loadtest/vendors"
)

// send hands a message to the simulator and returns its refusal's code: 0 where it is taken, -1 where
// the connection broke.
func send(t *testing.T, v *vendors.Email, password, message string) int {
	t.Helper()
	in, secrets := v.Integration("i")
	var s struct {
		Host     string
		Port     int
		Username string
	}
	if err := json.Unmarshal(in.Settings, &s); err != nil {
		t.Fatal(err)
	}
	if password == "" {
		password = secrets.Current("password").Reveal()
	}
	var auth smtp.Auth
	if password != "none" {
		auth = smtp.PlainAuth("", s.Username, password, s.Host)
	}
	err := smtp.SendMail(net.JoinHostPort(s.Host, strconv.Itoa(s.Port)), auth, "w@planner.test", []string{"a@couple.test"},
		[]byte(strings.ReplaceAll(message, "\n", "\r\n")))
	var reply *textproto.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &reply):
		return reply.Code
	}
	return -1
}

const head = `From: Weddings <w@planner.test>
To: a@couple.test
Date: Sat, 14 Mar 2026 09:26:53 +0000
Subject: Timeline updated
Message-ID: <dlv_1@planner.test>
`

// invited is a mail with an invitation; lines are the calendar's.
func invited(encoding, method, calendar string) string {
	return head + `MIME-Version: 1.0
Content-Type: multipart/alternative; boundary=b

--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Caf=C3=A9
--b
Content-Type: text/calendar; method=` + method + `
Content-Transfer-Encoding: ` + encoding + `

` + calendar + `
--b--
`
}

const calendar = `BEGIN:VCALENDAR
METHOD:REQUEST
BEGIN:VEVENT
UID:wedding-1@wedsync
SEQUENCE:4711
DTSTAMP:20260314T092653Z
DTSTART:20260620T140000Z
SUMMARY:Wedding\, Amélie & Jonas\; all\nday
LOCATION:Château de
  Vaux
ORGANIZER;CN=Weddings:mailto:w@planner.test
ATTENDEE;RSVP=true:mailto:a@couple.test
ATTENDEE:mailto:b@couple.test
END:VEVENT
END:VCALENDAR`

func TestEmailTakes(t *testing.T) {
	t.Parallel()
	v := start(t, vendors.StartEmail, vendors.Config{})
	if code := send(t, v, "", head+"\nhello"); code != 0 {
		t.Errorf("refused with %d", code)
	}
	if code := send(t, v, "", invited("8bit", "REQUEST", calendar)); code != 0 {
		t.Errorf("refused with %d", code)
	}
	if err := v.Wait(t.Context(), 1); err != nil {
		t.Error(err)
	}
	all := v.Received()
	if len(all) != 2 || all[0].ID != "dlv_1" || all[1].Repeat != 1 || all[0].Status != 250 || all[0].Header.Get("Subject") != "Timeline updated" {
		t.Fatalf("receipts %+v", all)
	}
	if i, ok := vendors.InvitationOf(all[0]); ok {
		t.Errorf("a mail without an invitation has %+v", i)
	}
	i, ok := vendors.InvitationOf(all[1])
	if !ok || i.Method != "REQUEST" || i.UID != "wedding-1@wedsync" || i.Sequence != 4711 || i.Summary != "Wedding, Amélie & Jonas; all\nday" ||
		i.Location != "Château de Vaux" || !i.Start.Equal(time.Date(2026, 6, 20, 14, 0, 0, 0, time.UTC)) || !slices.Equal(i.Attendees, []string{"a@couple.test", "b@couple.test"}) {
		t.Errorf("invitation %+v, %v", i, ok)
	}
	if i, ok := vendors.InvitationOf(vendors.Receipt{Body: []byte("nothing")}); ok {
		t.Errorf("nothing has %+v", i)
	}
}

func TestEmailRefuses(t *testing.T) {
	t.Parallel()
	v := start(t, vendors.StartEmail, vendors.Config{})
	if code := send(t, v, "guess", head+"\nx"); code != 535 {
		t.Errorf("a wrong password is answered %d", code)
	}
	if code := send(t, v, "none", head+"\nx"); code != 530 {
		t.Errorf("no password is answered %d", code)
	}
	without := func(name string) string {
		var kept []string
		for line := range strings.SplitSeq(calendar, "\n") {
			if !strings.HasPrefix(line, name) {
				kept = append(kept, line)
			}
		}
		return invited("8bit", "REQUEST", strings.Join(kept, "\n"))
	}
	for what, message := range map[string]string{
		"no header at all":      "\nx",
		"no Message-ID":         strings.Replace(head, "Message-ID", "X-ID", 1) + "\nx",
		"no Subject":            strings.Replace(head, "Subject", "X-Subject", 1) + "\nx",
		"a bad To":              strings.Replace(head, "a@couple.test", "nobody", 1) + "\nx",
		"a bad Date":            strings.Replace(head, "Sat, 14 Mar 2026", "today", 1) + "\nx",
		"a line that is none":   "x" + "\n\n",
		"a bad type":            head + "Content-Type: ;\n\nx",
		"a part cut off":        head + "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nx",
		"bad base64":            invited("base64", "REQUEST", "!!!"),
		"another method":        invited("8bit", "CANCEL", calendar),
		"an unknown method":     invited("8bit", "PUBLISH", strings.Replace(calendar, "REQUEST", "PUBLISH", 1)),
		"no METHOD":             without("METHOD"),
		"no UID":                without("UID"),
		"no SEQUENCE":           without("SEQUENCE"),
		"no DTSTAMP":            without("DTSTAMP"),
		"no DTSTART":            without("DTSTART"),
		"no ORGANIZER":          without("ORGANIZER"),
		"no ATTENDEE":           without("ATTENDEE"),
		"a time without a zone": invited("8bit", "REQUEST", strings.Replace(calendar, "T140000Z", "T140000", 1)),
		"a SEQUENCE of letters": invited("8bit", "REQUEST", strings.Replace(calendar, "4711", "next", 1)),
	} {
		if code := send(t, v, "", message); code != 554 {
			t.Errorf("%s: answered %d, want 554", what, code)
		}
	}
	if c := v.Counts(); c.Taken != 0 || c.Refused != 20 {
		t.Errorf("counts %+v", c)
	}
}

func TestEmailFaults(t *testing.T) {
	t.Parallel()
	v := start(t, vendors.StartEmail, vendors.Config{})
	message := head + "\nhello"
	for _, test := range []struct {
		fault vendors.Fault
		want  int
		taken int
	}{
		{vendors.Fault{Status: 421}, 421, 0},
		{vendors.Fault{Code: "busy"}, 451, 0},
		{vendors.Fault{Status: 550, Stage: "rcpt"}, 550, 0},
		{vendors.Fault{Status: 550, Stage: "rcpt", Contains: "b@"}, 0, 1},
		{vendors.Fault{Reset: true}, -1, 0},
		{vendors.Fault{LoseAnswer: true}, -1, 1},
	} {
		v.Forget()
		remove := v.Faults().Add(test.fault)
		if code := send(t, v, "", message); code != test.want {
			t.Errorf("%+v: answered %d, want %d", test.fault, code, test.want)
		}
		remove()
		if c := v.Counts(); c.Taken != test.taken || c.Calls != 1 {
			t.Errorf("%+v: counts %+v, want %d taken", test.fault, c, test.taken)
		}
	}
}

func TestEmailHangs(t *testing.T) {
	t.Parallel()
	for _, closing := range []bool{false, true} {
		v := start(t, vendors.StartEmail, vendors.Config{})
		hangs := make(chan struct{})
		v.Faults().Add(vendors.Fault{Hang: true, Match: func(*vendors.Receipt) bool { close(hangs); return true }})
		answered := make(chan int)
		go func() { answered <- send(t, v, "", head+"\nhello") }()
		<-hangs
		want := 0
		if closing {
			want = -1
			if err := v.Close(); err != nil {
				t.Error(err)
			}
		} else {
			v.Faults().Clear()
		}
		if code := <-answered; code != want {
			t.Errorf("closing %v: answered %d, want %d", closing, code, want)
		}
	}
}

func TestEmailDiscards(t *testing.T) {
	t.Parallel()
	v := start(t, vendors.StartEmail, vendors.Config{Discard: true})
	if code := send(t, v, "", head+"\nhello"); code != 0 {
		t.Errorf("refused with %d", code)
	}
	if c := v.Counts(); c.Taken != 1 || len(v.Received()) != 0 {
		t.Errorf("counts %+v", c)
	}
}
