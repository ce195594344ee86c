package delivery

import (
	"fmt"
	"time"
	_ "time/tzdata" // the same places on every machine

	"github.com/wedsync/wedsync/actors/event"
)

// Quiet is a part of the day in which nobody is to be told anything, by the clock on the recipient's wall:
// from one time until another, over midnight where the second is not later. It is immutable.
type Quiet struct {
	from, to time.Duration // since midnight, by the wall's clock
	zone     *time.Location
}

const (
	day       = 24 * time.Hour
	wallClock = "15:04"
)

// NewQuiet reads quiet hours, or returns an *event.FieldError.
func NewQuiet(q event.QuietHours) (Quiet, error) {
	var out Quiet
	for _, t := range []struct {
		name, text string
		into       *time.Duration
	}{{"from", q.From, &out.from}, {"to", q.To, &out.to}} {
		at, err := time.Parse(wallClock, t.text)
		if err != nil || len(t.text) != len(wallClock) {
			return Quiet{}, &event.FieldError{Field: t.name, Reason: fmt.Sprintf("%.40q is no time of day; write it like 22:00", t.text)}
		}
		*t.into = time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute
	}
	if out.from == out.to {
		return Quiet{}, &event.FieldError{Field: "to", Reason: "is the same as from; quiet hours end at another time than they begin"}
	}
	var err error
	if out.zone, err = time.LoadLocation(q.TimeZone); err != nil || q.TimeZone == "" || q.TimeZone == "Local" {
		return Quiet{}, &event.FieldError{Field: "timeZone", Reason: fmt.Sprintf("%.80q is no time zone; write the recipient's like Europe/Paris", q.TimeZone)}
	}
	return out, nil
}

// Until returns now, or when the quiet hours end in which now is: the first moment at which the wall's clock
// is outside of them, also where it is put forward or back meanwhile.
func (q Quiet) Until(now time.Time) time.Time {
	for at := now; ; {
		left := q.left(at)
		if left == 0 {
			return at
		}
		end := at.Add(left)
		_, change := at.In(q.zone).ZoneBounds()
		if change.IsZero() || !change.Before(end) {
			return end
		}
		at = change // the wall's clock jumps before: look again from there
	}
}

// Outside returns how much of the time from one moment to another is outside of quiet hours.
func (q Quiet) Outside(from, to time.Time) time.Duration {
	var sum time.Duration
	for at := q.Until(from); at.Before(to); {
		next := at.Add((q.from - q.wall(at) + day) % day)
		if _, change := at.In(q.zone).ZoneBounds(); !change.IsZero() && change.Before(next) {
			next = change // the wall's clock jumps before: look again from there
		}
		if next.After(to) {
			next = to
		}
		sum += next.Sub(at)
		at = q.Until(next)
	}
	return sum
}

// wall is the time since midnight by the wall's clock.
func (q Quiet) wall(at time.Time) time.Duration {
	h, m, s := at.In(q.zone).Clock()
	return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second + time.Duration(at.Nanosecond())
}

// left is how long the quiet hours last from then on if the wall's clock does not jump; 0 outside of them.
func (q Quiet) left(at time.Time) time.Duration {
	since, length := (q.wall(at)-q.from+day)%day, (q.to-q.from+day)%day
	return max(length-since, 0)
}
