package journal

import (
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/wedsync/wedsync/actors/event"
)

// Subjects separate segments with ".", channels with ":". A "." within a segment of a channel
// becomes "%", which channels do not have.
var (
	toSubject = strings.NewReplacer(":", ".", ".", "%")
	toChannel = strings.NewReplacer(".", ":", "%", ".")
)

func shardOf(id string, shards int) int { return int(xxhash.Sum64String(id) % uint64(shards)) }

func (j *Journal) eventSubject(channel string) string {
	return "ev." + strconv.Itoa(j.ShardOf(channel)) + "." + toSubject.Replace(channel)
}

// channelOfEvent is the inverse of eventSubject; "" for any other subject.
func channelOfEvent(subject string) string {
	rest, ok := strings.CutPrefix(subject, "ev.")
	if !ok {
		return ""
	}
	_, rest, _ = strings.Cut(rest, ".")
	return toChannel.Replace(rest)
}

// channelOfLive returns the channel of a republished event.
func channelOfLive(subject string) string {
	return toChannel.Replace(strings.TrimPrefix(subject, "live."))
}

// liveSubject returns what to subscribe to for a channel name or pattern.
func liveSubject(pattern string) (string, error) { return patternSubject("live", pattern) }

// eventsSubject returns the subjects of the events of all channels that the pattern selects.
func eventsSubject(pattern string) (string, error) { return patternSubject("ev.*", pattern) }

func patternSubject(prefix, pattern string) (string, error) {
	p, err := event.ParsePattern(pattern)
	if err != nil {
		return "", err
	}
	if p.IsChannel() {
		return prefix + "." + toSubject.Replace(pattern), nil
	}
	var b strings.Builder
	b.WriteString(prefix)
	for segment := range strings.SplitSeq(pattern, ":") {
		b.WriteByte('.')
		switch {
		case segment == "**":
			b.WriteByte('>')
		case segment == "*", strings.HasPrefix(segment, "{"):
			b.WriteByte('*')
		default:
			b.WriteString(toSubject.Replace(segment))
		}
	}
	return b.String(), nil
}

func (j *Journal) workSubject(d *event.Delivery) string { return j.workSubjectOf(d.Integration) }
func (j *Journal) parkSubject(d *event.Delivery) string { return j.parkSubjectOf(d.Integration) }

// queueSubject is where a delivery waits for its integration, or before that for its time.
func (j *Journal) queueSubject(d *event.Delivery) string {
	if d.NotBefore.IsZero() {
		return j.workSubject(d)
	}
	return j.heldSubject(d)
}

func (j *Journal) workSubjectOf(integration string) string {
	return "dl." + strconv.Itoa(j.ShardOf(integration)) + "." + integration
}

func (j *Journal) parkSubjectOf(integration string) string {
	return "park." + strconv.Itoa(j.ShardOf(integration)) + "." + integration
}

const recordSubject = "rec"

func deadSubject(integration string) string { return "dead." + integration }
