package analytics

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/wedsync/wedsync/actors/event"
)

// decode returns the entry's record. A record of a newer release is decoded as far as this one knows
// it; one that is not a record at all is an error.
func decode(e event.RecordEntry) (*event.Record, error) {
	if e.Record != nil {
		return e.Record, nil
	}
	record := new(event.Record)
	if err := json.Unmarshal(e.Data, record); err != nil {
		return nil, fmt.Errorf("record %d: %w", e.Seq, err)
	}
	if record.Empty() {
		return nil, fmt.Errorf("record %d: %w", e.Seq, errEmptyRecord)
	}
	return record, nil
}

var errEmptyRecord = errors.New("it tells of nothing")
