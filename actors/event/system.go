package event

import "strings"

// The channels on which the system tells how it does itself, and nobody else may publish.
const (
	HealthChannel = "integration:health:" // what state an integration is in; its id follows
	BurnChannel   = "slo:burn:"           // that an error budget burns; the vendor follows
)

// SystemSource is the source of what the system tells.
const SystemSource = "system"

// CheckNotSystem returns a *ChannelError where nobody but the system may publish on a channel.
func CheckNotSystem(name string) error {
	if strings.HasPrefix(name, HealthChannel) || strings.HasPrefix(name, BurnChannel) {
		return &ChannelError{Name: name, Reason: "on it the system tells how it does, and nobody else publishes there"}
	}
	return nil
}

// The events by which the system itself tells that an error budget burns, and that it does not any more.
const (
	BurnStarted = "slo.burn_started"
	BurnEnded   = "slo.burn_ended"
)
