package ws_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/wedsync/wedsync/edge/ws"
)

var codeRow = regexp.MustCompile(`(?m)^\| (\d{4}) \| ([^|]+) \| (yes|no) \|`)

// docs/edge.md has every close code, with its reason, and whether an SDK comes back.
func TestDocumentedCodes(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/edge.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[ws.CloseCode]string{}
	for _, row := range codeRow.FindAllStringSubmatch(string(text), -1) {
		code, err := strconv.ParseUint(row[1], 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		documented[ws.CloseCode(code)] = row[2] + ", " + row[3]
	}
	all := []ws.CloseCode{
		ws.CloseMessageSize, ws.CloseShutdown, ws.CloseInternal, ws.CloseExpired, ws.CloseSlow, ws.CloseInsufficient, ws.CloseNoPong,
		ws.CloseInvalidToken, ws.CloseBadRequest, ws.CloseUserLimit, ws.CloseNotAvailable, ws.CloseConnectTimeout,
	}
	for _, code := range all {
		returns := map[bool]string{true: "yes", false: "no"}[code.Reconnects()]
		if want := fmt.Sprintf("%s, %s", code.Reason(), returns); documented[code] != want {
			t.Errorf("%d is documented as %q, and is %q", code, documented[code], want)
		}
	}
	if len(documented) != len(all) {
		t.Errorf("%d codes are documented, and %d are there", len(documented), len(all))
	}
}
