package load

import (
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Moment is a time of the story's week, written like "Sat 10:30": so long after Monday's midnight.
type Moment time.Duration

// days are those of the story's week.
func days() []string { return []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"} }

// ParseMoment reads a moment.
func ParseMoment(text string) (Moment, error) {
	day, clock, _ := strings.Cut(text, " ")
	for i, name := range days() {
		at, err := time.Parse("15:04", clock)
		if day == name && err == nil {
			return Moment(time.Duration(i)*24*time.Hour + time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute), nil
		}
	}
	return 0, fmt.Errorf("%.40q is no time of the story; write it like Sat 10:30", text)
}

// String writes the moment as it is read.
func (m Moment) String() string {
	d := time.Duration(m)
	return fmt.Sprintf("%s %02d:%02d", days()[int(d/(24*time.Hour))%7], int(d.Hours())%24, int(d.Minutes())%60)
}

// UnmarshalYAML reads a moment.
func (m *Moment) UnmarshalYAML(node *yaml.Node) (err error) {
	*m, err = ParseMoment(node.Value)
	if err != nil {
		err = fmt.Errorf("line %d: %w", node.Line, err)
	}
	return err
}
