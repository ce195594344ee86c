package analytics

import (
	"fmt"

	"github.com/wedsync/wedsync/actors/event"
)

// decode returns the entry's record, or why there is none.
func decode(e event.RecordEntry) (*event.Record, error) {
	if e.Record != nil {
		return e.Record, nil
	}
	record, err := event.DecodeRecord(e.Data)
	if err != nil {
		return nil, fmt.Errorf("record %d: %w", e.Seq, err)
	}
	return record, nil
}
