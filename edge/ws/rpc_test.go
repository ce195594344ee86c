package ws_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/centrifugal/centrifuge-go"

	"github.com/wedsync/wedsync/edge/ws"
)

// newApplication answers each call with what was sent, or as the method says.
func newApplication(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct{ Method, B64Data string }
		body := must(io.ReadAll(r.Body))
		if err := json.Unmarshal(body, &call); err != nil || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("called with %s %q: %v", r.Header.Get("Content-Type"), body, err)
		}
		answer := fmt.Sprintf(`{"result":{"data":%s}}`, body)
		switch call.Method {
		case "bytes":
			answer = fmt.Sprintf(`{"result":{"b64data":%q}}`, call.B64Data)
		case "refuse":
			answer = `{"error":{"code":404,"message":"no such venue"}}`
		case "break":
			w.WriteHeader(http.StatusBadGateway)
		case "nothing":
			answer = `{}`
		case "nonsense":
			answer = `{`
		case "no base64":
			answer = `{"result":{"b64data":"!"}}`
		case "large":
			answer = fmt.Sprintf(`{"result":{"data":%q}}`, strings.Repeat("x", 1<<20))
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestRPC(t *testing.T) {
	t.Parallel()
	app := newApplication(t)
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.RPC, c.MaxMessageBytes = app.URL, 2<<20 })
	c := dialConnected(t, n, all(t))
	var call struct {
		Client, User, Protocol, Method string
		Data                           map[string]int
	}
	r := c.ok(`"rpc":{"method":"capacity","data":{"guests":120}}`).Rpc
	if err := json.Unmarshal(r.Data, &call); err != nil || call.User != "couple-7" || call.Client == "" || call.Protocol != "json" || call.Method != "capacity" || call.Data["guests"] != 120 {
		t.Errorf("the application got %s, %v", r.Data, err)
	}
	if r := c.do(`"rpc":{"method":"refuse","data":{}}`); r.Error.GetCode() != 404 || r.Error.GetMessage() != "no such venue" {
		t.Errorf("%v", r)
	}
	for _, method := range []string{"break", "nothing", "nonsense", "no base64", "large"} {
		if r := c.do(fmt.Sprintf(`"rpc":{"method":%q,"data":{}}`, method)); r.Error.GetCode() != ws.ErrInternal || !r.Error.GetTemporary() {
			t.Errorf("%s: %.200v", method, r)
		}
	}
}

// A megabyte goes both ways, however the SDK speaks; in protobuf it can be anything.
func TestGoSDKLargeCalls(t *testing.T) {
	t.Parallel()
	app := newApplication(t)
	for name, kind := range goKinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, openJournal(t), func(c *ws.Config) { c.RPC, c.MaxMessageBytes, c.Deflate = app.URL, 2<<20, true })
			s := startGoSDK(t, n, kind.protobuf, func(c *centrifuge.Config) { c.EnableCompression = kind.compressed })
			text := strings.Repeat("Amélie + Jonas ", 1_000_000/16)
			res, err := s.RPC(t.Context(), "echo", must(json.Marshal(text)))
			var call struct{ Data string }
			if err != nil || json.Unmarshal(res.Data, &call) != nil || call.Data != text {
				t.Fatalf("%d bytes came back, %v", len(res.Data), err)
			}
			if kind.protobuf {
				sent := []byte{0, 0xff, '\n', 1}
				if res, err := s.RPC(t.Context(), "bytes", sent); err != nil || !bytes.Equal(res.Data, sent) {
					t.Errorf("got %x, %v", res.Data, err)
				}
			}
			// As an event it is too much, which the client is told, and no more.
			_, err = s.Publish(t.Context(), channel, must(json.Marshal(map[string]any{"type": "a.b", "payload": map[string]string{"x": text}})))
			var refused *centrifuge.Error
			if !errors.As(err, &refused) || refused.Code != http.StatusRequestEntityTooLarge {
				t.Errorf("publishing a megabyte: %v", err)
			}
		})
	}
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.RPC = app.URL })
	c := dialConnected(t, n, all(t))
	c.send(fmt.Sprintf(`{"id":9,"rpc":{"data":%q}}`, base64.StdEncoding.EncodeToString(make([]byte, 1<<20))))
	if _, err := c.next(); err == nil {
		t.Error("a message of more than the node takes was answered")
	}
	waitMetric(t, n, 1, "wedsync_ws_connections_closed_total", "code", "1009")
}
