package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/wedsync/wedsync/actors/event"
)

// encode writes v as JSON without the escapes for HTML, which would make a payload larger than what
// was accepted.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("%T cannot be written as JSON: %w", v, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func decodeEvent(data []byte) (*event.Event, error) {
	ev := new(event.Event)
	if err := json.Unmarshal(data, ev); err != nil {
		return nil, err
	}
	if ev.ID == "" || ev.Channel == "" {
		return nil, errors.New("an event without id or channel")
	}
	return ev, nil
}

func decodeDelivery(data []byte) (*event.Delivery, error) {
	d := new(event.Delivery)
	if err := json.Unmarshal(data, d); err != nil {
		return nil, err
	}
	if d.ID == "" || d.Integration == "" {
		return nil, errors.New("a delivery without id or integration")
	}
	return d, nil
}

func decodeLetter(data []byte) (*event.DeadLetter, error) {
	l := new(event.DeadLetter)
	if err := json.Unmarshal(data, l); err != nil {
		return nil, err
	}
	if l.Delivery.ID == "" || l.Delivery.Integration == "" {
		return nil, errors.New("a dead letter without delivery id or integration")
	}
	return l, nil
}
