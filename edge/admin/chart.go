package admin

import "encoding/json"

// chart is what uPlot draws: lines over times.
type chart struct {
	Unit  string  `json:"unit"`
	Times []int64 `json:"times"` // seconds since 1970
	Lines []line  `json:"lines"`
	Span  int64   `json:"span"`           // seconds, up to now, that are drawn
	Goal  float64 `json:"goal,omitempty"` // a line of its own, where there is one
}

// line is one of a chart's. A value that is nil is a gap.
type line struct {
	Name   string     `json:"name"`
	Values []*float64 `json:"values"`
}

// data is the chart as the page's script reads it.
func (c *chart) data() string {
	text, err := json.Marshal(c)
	if err != nil {
		return "{}" // a number that is none
	}
	return string(text)
}
