package live

import "time"

// PaceMinutes are what [Report.Pace] is computed of: the minute that goes on, and the one before.
const PaceMinutes = 2

// Pace is how much goes on now.
type Pace struct {
	Seconds             float64 `json:"seconds"` // that it was computed of: from one to two minutes, less after a start
	DeliveriesPerSecond float64 `json:"deliveriesPerSecond"`
	AttemptsPerSecond   float64 `json:"attemptsPerSecond"`
	Success             float64 `json:"success"` // of the deliveries that ended; 1 of none
}

// Pace computes it of a report of PaceMinutes by overall, made just now.
func (r *Report) Pace(now time.Time) Pace {
	p := Pace{Seconds: max(now.Sub(r.Since).Seconds(), 1), Success: 1}
	for _, row := range r.Rows {
		for i := range row.Minutes {
			m := &row.Minutes[i]
			p.DeliveriesPerSecond = float64(m.Total) / p.Seconds
			p.AttemptsPerSecond = float64(m.Attempts) / p.Seconds
			success := m.Success()
			p.Success = success.Rate
		}
	}
	return p
}
