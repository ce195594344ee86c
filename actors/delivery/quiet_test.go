package delivery_test

import (
	"errors"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
)

func TestQuietHours(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ from, to, zone, now, want string }{
		{"22:00", "07:00", "Europe/Paris", "2027-06-12T21:59:59+02:00", ""},
		{"22:00", "07:00", "Europe/Paris", "2027-06-12T22:00:00+02:00", "2027-06-13T07:00:00+02:00"},
		{"22:00", "07:00", "Europe/Paris", "2027-06-13T06:59:59.5+02:00", "2027-06-13T07:00:00+02:00"},
		{"22:00", "07:00", "Europe/Paris", "2027-06-13T07:00:00+02:00", ""},
		{"12:30", "14:00", "Asia/Kolkata", "2027-06-13T07:10:00Z", "2027-06-13T08:30:00Z"}, // 12:40 there
		{"12:30", "14:00", "Asia/Kolkata", "2027-06-13T12:40:00Z", ""},
		{"23:00", "00:00", "UTC", "2027-06-13T23:30:00Z", "2027-06-14T00:00:00Z"},
		{"00:00", "06:00", "UTC", "2027-06-13T00:00:00Z", "2027-06-13T06:00:00Z"},
		// 28 March 2027: the clock goes from 02:00 to 03:00, the night is an hour shorter.
		{"22:00", "07:00", "Europe/Paris", "2027-03-27T22:00:00+01:00", "2027-03-28T07:00:00+02:00"},
		{"22:00", "02:30", "Europe/Paris", "2027-03-28T01:00:00+01:00", "2027-03-28T03:00:00+02:00"},
		{"02:10", "02:50", "Europe/Paris", "2027-03-28T01:59:00+01:00", ""},
		{"02:10", "04:00", "Europe/Paris", "2027-03-28T03:00:00+02:00", "2027-03-28T04:00:00+02:00"},
		// 31 October 2027: from 03:00 back to 02:00, and 02:30 comes twice.
		{"22:00", "07:00", "Europe/Paris", "2027-10-30T22:00:00+02:00", "2027-10-31T07:00:00+01:00"},
		{"22:00", "02:30", "Europe/Paris", "2027-10-31T01:00:00+02:00", "2027-10-31T02:30:00+02:00"},
		{"22:00", "02:30", "Europe/Paris", "2027-10-31T02:10:00+01:00", "2027-10-31T02:30:00+01:00"},
		{"02:30", "03:30", "Europe/Paris", "2027-10-31T02:40:00+02:00", "2027-10-31T02:00:00+01:00"},
	} {
		q, err := delivery.NewQuiet(event.QuietHours{From: c.from, To: c.to, TimeZone: c.zone})
		if err != nil {
			t.Fatal(err)
		}
		now, want := at(t, c.now), at(t, c.now)
		if c.want != "" {
			want = at(t, c.want)
		}
		if got := q.Until(now); !got.Equal(want) {
			t.Errorf("%s to %s in %s, at %s: until %s, want %s", c.from, c.to, c.zone, c.now, got, want)
		}
	}
}

func TestTimeOutsideOfQuietHours(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to string
		want     time.Duration
	}{
		{"2027-06-12T12:00:00+02:00", "2027-06-12T11:00:00+02:00", 0},
		{"2027-06-12T12:00:00+02:00", "2027-06-12T13:00:00+02:00", time.Hour},
		{"2027-06-12T21:00:00+02:00", "2027-06-13T03:00:00+02:00", time.Hour},
		{"2027-06-12T22:00:00+02:00", "2027-06-13T07:00:00+02:00", 0},
		{"2027-06-12T23:00:00+02:00", "2027-06-13T07:00:01.5+02:00", 1500 * time.Millisecond},
		{"2027-06-12T21:00:00+02:00", "2027-06-15T08:00:00+02:00", (1 + 15 + 15 + 1) * time.Hour},
		// 28 March and 31 October 2027: the clock is put forward and back in the night.
		{"2027-03-27T21:00:00+01:00", "2027-03-28T08:00:00+02:00", 2 * time.Hour},
		{"2027-10-30T21:00:00+02:00", "2027-10-31T08:00:00+01:00", 2 * time.Hour},
	} {
		q, err := delivery.NewQuiet(event.QuietHours{From: "22:00", To: "07:00", TimeZone: "Europe/Paris"})
		if err != nil {
			t.Fatal(err)
		}
		if got := q.Outside(at(t, c.from), at(t, c.to)); got != c.want {
			t.Errorf("from %s to %s: %v, want %v", c.from, c.to, got, c.want)
		}
	}
	// Quiet from 02:30, on the night in which that comes twice, and on that in which it does not come.
	q, err := delivery.NewQuiet(event.QuietHours{From: "02:30", To: "03:30", TimeZone: "Europe/Paris"})
	if err != nil {
		t.Fatal(err)
	}
	if got := q.Outside(at(t, "2027-10-31T02:00:00+02:00"), at(t, "2027-10-31T04:00:00+01:00")); got != 90*time.Minute {
		t.Errorf("where the quiet hours begin twice: %v, want 1h30m", got)
	}
	if got := q.Outside(at(t, "2027-03-28T01:00:00+01:00"), at(t, "2027-03-28T04:00:00+02:00")); got != 90*time.Minute {
		t.Errorf("where the quiet hours begin at no time: %v, want 1h30m", got)
	}
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestQuietHoursThatAreNone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ from, to, zone, field string }{
		{"", "07:00", "UTC", "from"},
		{"22", "07:00", "UTC", "from"},
		{"24:00", "07:00", "UTC", "from"},
		{"9:00", "07:00", "UTC", "from"},
		{"22:00", "7pm", "UTC", "to"},
		{"22:00", "22:00", "UTC", "to"},
		{"22:00", "07:00", "", "timeZone"},
		{"22:00", "07:00", "Local", "timeZone"},
		{"22:00", "07:00", "Paris", "timeZone"},
		{"22:00", "07:00", "../etc/passwd", "timeZone"},
	} {
		_, err := delivery.NewQuiet(event.QuietHours{From: c.from, To: c.to, TimeZone: c.zone})
		var field *event.FieldError
		if !errors.As(err, &field) || field.Field != c.field {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// FuzzQuiet: until quiet hours end it is quiet, and then it is not.
func FuzzQuiet(f *testing.F) {
	zones := []string{"UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "America/St_Johns", "Africa/Casablanca"}
	f.Add(uint16(1320), uint16(420), uint8(1), int64(1806199200))
	f.Add(uint16(150), uint16(170), uint8(3), int64(1822932000))
	f.Fuzz(func(t *testing.T, from, to uint16, zone uint8, seconds int64) {
		from, to = from%1440, to%1440
		if from == to {
			return
		}
		clock := func(minutes uint16) string { return time.Unix(int64(minutes)*60, 0).UTC().Format("15:04") }
		name := zones[int(zone)%len(zones)]
		q, err := delivery.NewQuiet(event.QuietHours{From: clock(from), To: clock(to), TimeZone: name})
		if err != nil {
			t.Fatal(err)
		}
		place, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		quiet := func(at time.Time) bool {
			wall := at.In(place).Format("15:04")
			if from < to {
				return wall >= clock(from) && wall < clock(to)
			}
			return wall >= clock(from) || wall < clock(to)
		}
		now := time.Unix(seconds%(1<<33), 0)
		end := q.Until(now)
		if end.Before(now) || end.Sub(now) > 26*time.Hour || quiet(now) != end.After(now) || quiet(end) {
			t.Fatalf("%s to %s in %s, at %s: until %s", clock(from), clock(to), name, now.In(place), end.In(place))
		}
		for at := now; at.Before(end); at = at.Add(7 * time.Minute) {
			if !quiet(at) {
				t.Fatalf("%s to %s in %s: at %s it is not quiet, but until %s", clock(from), clock(to), name, at.In(place), end.In(place))
			}
		}
	})
}
