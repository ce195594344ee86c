package vendors

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"time"
)

// Invitation is what a mail puts into calendars.
type Invitation struct {
	Method    string // REQUEST or CANCEL
	UID       string
	Sequence  int
	Stamp     time.Time
	Start     time.Time // zero where none is told
	Summary   string
	Location  string
	Attendees []string // addresses
}

// InvitationOf returns the invitation in a mail that was received, or ok false where it has none
// that can be read.
func InvitationOf(r Receipt) (i Invitation, ok bool) {
	msg, err := mail.ReadMessage(bytes.NewReader(r.Body))
	if err != nil {
		return Invitation{}, false
	}
	found, err := readMail(msg)
	if err != nil || found == nil {
		return Invitation{}, false
	}
	return *found, true
}

// checkMail says what is wrong with a message.
func checkMail(msg *mail.Message) error {
	for _, name := range []string{"From", "To", "Date", "Subject", "Message-Id"} {
		if msg.Header.Get(name) == "" {
			return fmt.Errorf("the header %s is missing", name)
		}
	}
	for _, name := range []string{"From", "To"} {
		if _, err := msg.Header.AddressList(name); err != nil {
			return fmt.Errorf("the header %s: %w", name, err)
		}
	}
	if _, err := msg.Header.Date(); err != nil {
		return fmt.Errorf("the header Date: %w", err)
	}
	_, err := readMail(msg)
	return err
}

// readMail returns the invitation, or nil where there is none.
func readMail(msg *mail.Message) (*Invitation, error) {
	var found *Invitation
	err := eachPart(textproto.MIMEHeader(msg.Header), msg.Body, func(media string, params map[string]string, body []byte) error {
		if media != "text/calendar" {
			return nil
		}
		i, err := readCalendar(string(body))
		if err != nil {
			return fmt.Errorf("the invitation: %w", err)
		}
		if params["method"] != i.Method {
			return fmt.Errorf("the part says method=%q, the invitation METHOD:%s", params["method"], i.Method)
		}
		found = i
		return nil
	})
	return found, err
}

// eachPart walks the parts of a message, decoded.
func eachPart(header textproto.MIMEHeader, body io.Reader, visit func(media string, params map[string]string, body []byte) error) error {
	kind := header.Get("Content-Type")
	if kind == "" {
		kind = "text/plain"
	}
	media, params, err := mime.ParseMediaType(kind)
	if err != nil {
		return fmt.Errorf("the header Content-Type: %w", err)
	}
	if strings.HasPrefix(media, "multipart/") {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			part, err := parts.NextRawPart()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("a part: %w", err)
			}
			if err := eachPart(part.Header, part, visit); err != nil {
				return err
			}
		}
	}
	switch strings.ToLower(header.Get("Content-Transfer-Encoding")) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("a part of type %s: %w", media, err)
	}
	return visit(media, params, raw)
}

// readCalendar reads an iCalendar object with one event (RFC 5545), and asks for what RFC 5546
// requires of a REQUEST and a CANCEL.
func readCalendar(text string) (*Invitation, error) {
	i := &Invitation{Sequence: -1}
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n ", "") // unfold
	var errs []error
	moment := func(v string) time.Time {
		t, err := time.Parse("20060102T150405Z", v)
		if err != nil {
			errs = append(errs, fmt.Errorf("the time %q is not in UTC", v))
		}
		return t
	}
	organizer := false
	for line := range strings.SplitSeq(text, "\n") {
		name, value, _ := strings.Cut(line, ":")
		name, _, _ = strings.Cut(name, ";")
		switch name {
		case "METHOD":
			i.Method = value
		case "UID":
			i.UID = value
		case "SEQUENCE":
			n, err := strconv.ParseInt(value, 10, 32)
			errs, i.Sequence = append(errs, err), int(n)
		case "DTSTAMP":
			i.Stamp = moment(value)
		case "DTSTART":
			i.Start = moment(value)
		case "SUMMARY":
			i.Summary = unescapeText(value)
		case "LOCATION":
			i.Location = unescapeText(value)
		case "ORGANIZER":
			organizer = true
		case "ATTENDEE":
			_, address, _ := strings.Cut(line, "mailto:")
			i.Attendees = append(i.Attendees, address)
		}
	}
	switch {
	case i.Method != "REQUEST" && i.Method != "CANCEL":
		errs = append(errs, fmt.Errorf("METHOD %q is neither REQUEST nor CANCEL", i.Method))
	case i.UID == "", i.Sequence < 0, i.Stamp.IsZero(), !organizer, len(i.Attendees) == 0:
		errs = append(errs, errors.New("UID, SEQUENCE, DTSTAMP, ORGANIZER and ATTENDEE must all be given"))
	case i.Method == "REQUEST" && i.Start.IsZero():
		errs = append(errs, errors.New("a REQUEST must have DTSTART"))
	}
	return i, errors.Join(errs...)
}

func unescapeText(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\,`, ",", `\;`, ";").Replace(s)
}
