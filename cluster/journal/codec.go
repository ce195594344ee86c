package journal

import (
	"errors"
	"fmt"

	"github.com/wedsync/wedsync/actors/event"
)

// encode writes what the log keeps.
func encode(v any) ([]byte, error) {
	data, err := event.Encode(v)
	if err != nil {
		return nil, fmt.Errorf("%T cannot be written as JSON: %w", v, err)
	}
	return data, nil
}

func decodeEvent(data []byte) (*event.Event, error) {
	ev := new(event.Event)
	if err := event.Decode(data, ev); err != nil {
		return nil, err
	}
	if ev.ID == "" || ev.Channel == "" {
		return nil, errors.New("an event without id or channel")
	}
	return ev, nil
}

func decodeDelivery(data []byte) (*event.Delivery, error) {
	d := new(event.Delivery)
	if err := event.Decode(data, d); err != nil {
		return nil, err
	}
	if d.ID == "" || d.Integration == "" {
		return nil, errors.New("a delivery without id or integration")
	}
	return d, nil
}

func decodeLetter(data []byte) (*event.DeadLetter, error) {
	l := new(event.DeadLetter)
	if err := event.Decode(data, l); err != nil {
		return nil, err
	}
	if l.Delivery.ID == "" || l.Delivery.Integration == "" {
		return nil, errors.New("a dead letter without delivery id or integration")
	}
	return l, nil
}
