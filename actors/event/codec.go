package event

import (
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// stored has values written as encoding/json writes them, without its escapes for HTML, which would make a payload
// larger than what was accepted; and read as leniently, but for names in another case. It is what encoding/json is to
// be, for a third of the time.
var stored = json.JoinOptions(
	json.Deterministic(true), json.FormatNilSliceAsNull(true), json.FormatNilMapAsNull(true), jsonv1.OmitEmptyWithLegacySemantics(true),
	jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true), jsontext.PreserveRawStrings(true),
)

// Encode writes a value as the log has it.
func Encode(v any) ([]byte, error) { return json.Marshal(v, stored) }

// Decode reads into v what the log has.
func Decode(data []byte, v any) error { return json.Unmarshal(data, v, stored) }

// DecodeRecord reads a record. One of a newer release is read as far as this one knows it; what is no record, or tells
// of nothing that this release knows, is an error.
func DecodeRecord(data []byte) (*Record, error) {
	r := new(Record)
	if err := Decode(data, r); err != nil {
		return nil, err
	}
	if r.Empty() {
		return nil, errors.New("it tells of nothing that this release knows")
	}
	return r, nil
}
