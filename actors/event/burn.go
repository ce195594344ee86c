package event

// The events by which the system itself tells that an error budget burns, and that it does not any more.
const (
	BurnStarted = "slo.burn_started"
	BurnEnded   = "slo.burn_ended"
)

// BurnChannel is where it tells so; the vendor follows.
const BurnChannel = "slo:burn:"
