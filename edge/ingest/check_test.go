package ingest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/problem"
)

func TestCheckObject(t *testing.T) {
	t.Parallel()
	limits := ingest.Limits{Bytes: 1000, Depth: 3, Keys: 4}.WithDefaults()
	for body, code := range map[string]string{
		`{"a": "<b>\u0061</b>", "c": ["\ud83d", 1e3] }`: "",
		`{"a":{"b":{"c":{}}}}`:                          problem.PayloadTooDeep,
		`{"a":1,"b":1,"c":1,"d":1,"e":1}`:               problem.PayloadTooWide,
		`{"a":1,"\u0061":1}`:                            problem.DuplicateKey,
		`{"a":`:                                         problem.JSONMalformed,
		`[]`:                                            problem.PayloadNotObject,
		"{\"a\":\"\xff\"}":                              problem.UTF8Invalid,
		`{"a":"` + strings.Repeat("x", 999) + `"}`: problem.BodyTooLarge,
	} {
		err := ingest.CheckObject([]byte(body), limits)
		var rej *ingest.Reject
		if code == "" && err != nil || code != "" && (!errors.As(err, &rej) || rej.Code != code || rej.Problem().Code != code) {
			t.Errorf("%.40s: got %v, want %q", body, err, code)
		}
	}
}
