package webhook

import (
	"encoding/json"
	"errors"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/problem"
)

// channelOf fills the integration's template: with its owner's variables, and with the payload's
// top-level texts and numbers for the rest.
func channelOf(in event.Integration, payload json.RawMessage) (string, error) {
	template, err := templateOf(in)
	if err != nil {
		return "", err
	}
	var fields map[string]json.RawMessage
	name, err := template.Fill(func(name string) (string, bool) {
		if v, ok := in.Owner[name]; ok {
			return v, true
		}
		if fields == nil && json.Unmarshal(payload, &fields) != nil {
			return "", false
		}
		return scalar(fields[name])
	})
	if err != nil {
		var bad *event.ChannelError
		if errors.As(err, &bad) {
			return "", problem.New(problem.ChannelUnfilled, "channel %q: %s, neither in the owner variables nor in the webhook", in.Channel, bad.Reason)
		}
		return "", err
	}
	return name, nil
}

func templateOf(in event.Integration) (event.Template, error) {
	if in.Channel == "" {
		return event.Template{}, unset(in)
	}
	t, err := event.ParseTemplate(in.Channel)
	if err != nil {
		return event.Template{}, unset(in).Because(err)
	}
	return t, nil
}

func unset(in event.Integration) *problem.Problem {
	return problem.New(problem.ChannelUnset, "the integration %q has no channel for what it receives; an admin sets one", in.ID)
}

// mayPublish checks that a channel is one of those that the integration's template selects, with the
// owner's values in place.
func mayPublish(in event.Integration, channel string) error {
	if in.Channel == "" {
		return unset(in)
	}
	pattern, err := event.ParsePattern(in.Channel)
	if err != nil {
		return unset(in).Because(err)
	}
	vars, ok := pattern.Match(channel)
	for name, v := range vars {
		if own, given := in.Owner[name]; given && own != v {
			ok = false
		}
	}
	if !ok {
		return problem.New(problem.ChannelNotAllowed, "the integration %q publishes on %q, as its owner's; %.300q is not among these", in.ID, in.Channel, channel)
	}
	return nil
}

// scalar returns a JSON text or number as text.
func scalar(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 {
		return "", false
	}
	if raw[0] == '"' {
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err == nil
	}
	var n json.Number
	err := json.Unmarshal(raw, &n)
	return n.String(), err == nil && n != ""
}
