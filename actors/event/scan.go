package event

import (
	"bytes"
	"encoding/json"
	"errors"
)

// DecodeRecord reads a record's JSON. One of a newer release is read as far as this one knows it; what is no record, or
// tells of nothing that this release knows, is an error.
func DecodeRecord(data []byte) (*Record, error) {
	r, ok := scan(data)
	if !ok {
		r = new(Record)
		if err := json.Unmarshal(data, r); err != nil {
			return nil, err
		}
	}
	if r.Empty() {
		return nil, errors.New("it tells of nothing that this release knows")
	}
	return r, nil
}

// scan decodes a record of a delivery as nodes write it, for a fifth of what encoding/json takes. It gives up on all
// else, such as white space or a name that it does not know; what it decodes is what encoding/json would.
func scan(data []byte) (*Record, bool) {
	s, r := scanner{data: data, ok: true}, new(Record)
	s.object(func(name []byte) {
		switch string(name) {
		case "v":
			r.V = s.number()
		case "node":
			r.Node = s.text()
		case "delivery":
			s.ok = s.ok && r.Delivery == nil
			r.Delivery = new(DeliveryRecord)
			s.delivery(r.Delivery)
		default:
			s.ok = false
		}
	})
	return r, s.ok && s.at == len(data)
}

// scanner reads JSON from front to back, until ok is false.
type scanner struct {
	data []byte
	at   int
	ok   bool
}

func (s *scanner) delivery(d *DeliveryRecord) {
	s.object(func(name []byte) {
		switch string(name) {
		case "id":
			d.ID = s.text()
		case "replay":
			d.Replay = s.number()
		case "eventId":
			d.EventID = s.text()
		case "eventType":
			d.EventType = s.text()
		case "channel":
			d.Channel = s.text()
		case "integration":
			d.Integration = s.text()
		case "vendor":
			d.Vendor = s.text()
		case "category":
			d.Category = Category(s.text())
		case "weddingId":
			d.WeddingID = s.text()
		case "traceparent":
			d.TraceParent = s.text()
		case "acceptedAt":
			s.parse(&d.AcceptedAt)
		case "routedAt":
			s.parse(&d.RoutedAt)
		case "notBefore":
			s.parse(&d.NotBefore)
		case "pausedUntil":
			s.parse(&d.PausedUntil)
		case "died":
			s.parse(&d.Died)
		case "attempts":
			s.ok = s.ok && d.Attempts == nil
			s.list(func() {
				d.Attempts = append(d.Attempts, Attempt{})
				s.attempt(&d.Attempts[len(d.Attempts)-1])
			})
		case "result":
			s.ok = s.ok && d.Result == nil
			d.Result = new(Result)
			s.result(d.Result)
		default:
			s.ok = false
		}
	})
}

func (s *scanner) attempt(a *Attempt) {
	s.object(func(name []byte) {
		switch string(name) {
		case "number":
			a.Number = s.number()
		case "startedAt":
			s.parse(&a.StartedAt)
		case "duration":
			s.parse(&a.Duration)
		case "status":
			a.Status = s.number()
		case "verdict":
			a.Verdict = s.text()
		case "reason":
			a.Reason = s.text()
		case "detail":
			a.Detail = s.text()
		case "probe":
			s.ok = s.ok && bytes.HasPrefix(s.data[s.at:], []byte("true"))
			a.Probe = true
			s.at += len("true")
		default:
			s.ok = false
		}
	})
}

func (s *scanner) result(r *Result) {
	s.object(func(name []byte) {
		switch string(name) {
		case "outcome":
			r.Outcome = Outcome(s.text())
		case "reason":
			r.Reason = s.text()
		case "finishedAt":
			s.parse(&r.FinishedAt)
		case "attempts":
			r.Attempts = s.number()
		default:
			s.ok = false
		}
	})
}

// next takes a byte if it comes next.
func (s *scanner) next(c byte) bool {
	if !s.ok || s.at >= len(s.data) || s.data[s.at] != c {
		return false
	}
	s.at++
	return true
}

// object reads one of at least one field; field reads the value.
func (s *scanner) object(field func(name []byte)) {
	for s.ok = s.next('{'); s.ok; {
		name := s.plain()
		if s.ok = s.next(':'); !s.ok {
			return
		}
		field(name)
		if s.next('}') {
			return
		}
		s.ok = s.next(',')
	}
}

// list reads one of at least one value, which value reads.
func (s *scanner) list(value func()) {
	for s.ok = s.next('['); s.ok; {
		value()
		if s.next(']') {
			return
		}
		s.ok = s.next(',')
	}
}

// plain reads a text that stands for itself.
func (s *scanner) plain() []byte {
	if s.ok = s.next('"'); !s.ok {
		return nil
	}
	for from := s.at; s.at < len(s.data); s.at++ {
		switch c := s.data[s.at]; {
		case c == '"':
			s.at++
			return s.data[from : s.at-1]
		case c < ' ' || c == '\\' || c >= 0x80:
			s.ok = false
			return nil
		}
	}
	s.ok = false
	return nil
}

// text reads any text.
func (s *scanner) text() string {
	from := s.at
	if b := s.plain(); s.ok {
		return string(b)
	}
	end := from + 1
	for end < len(s.data) && s.data[end] != '"' {
		if s.data[end] == '\\' {
			end++
		}
		end++
	}
	var text string
	if end >= len(s.data) || s.data[from] != '"' || json.Unmarshal(s.data[from:end+1], &text) != nil {
		return ""
	}
	s.at, s.ok = end+1, true
	return text
}

// number reads a whole number that is not below zero.
func (s *scanner) number() (n int) {
	const digits = 9 // fit into an int of 32 bits
	from := s.at
	for s.at < len(s.data) && s.data[s.at] >= '0' && s.data[s.at] <= '9' && s.at < from+digits {
		n = 10*n + int(s.data[s.at]-'0')
		s.at++
	}
	s.ok = s.ok && s.at > from && (s.data[from] != '0' || s.at == from+1)
	return n
}

// parse reads a time or a duration.
func (s *scanner) parse(v interface{ UnmarshalText(text []byte) error }) {
	if b := s.plain(); s.ok {
		s.ok = v.UnmarshalText(b) == nil
	}
}
