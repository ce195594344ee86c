package event

// Exclusion says why the end of a delivery counts neither for nor against the objectives; docs/slo.md has
// the reasons. It is "" of one that counts.
type Exclusion string

// The exclusions.
const (
	ExcludedSkipped Exclusion = "skipped"   // nothing was to be sent
	ExcludedReplay  Exclusion = "replay"    // its first end counted already
	ExcludedOptOut  Exclusion = "opted_out" // the recipient does not want it
	ExcludedPaused  Exclusion = "paused"    // it waited too long, and an admin's pause was part of that
)

// Excluded tells whether the end that the record tells of counts, and why not. A record without a result has
// no end to count.
func (r *DeliveryRecord) Excluded() Exclusion {
	switch {
	case r.Replay > 0:
		return ExcludedReplay
	case r.Result == nil || r.Result.Outcome == Skipped:
		return ExcludedSkipped
	case r.Result.Outcome != Dead:
		return ""
	case r.Result.Reason == ReasonOptedOut:
		return ExcludedOptOut
	case r.Result.Reason == ReasonExpired && !r.PausedUntil.IsZero():
		return ExcludedPaused
	}
	return ""
}
