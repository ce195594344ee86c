package ws_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/ws"
)

func TestConnect(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.Version, c.PingInterval, c.PongTimeout = "wedsync 1.2", 0, 0 })
	res := dialRaw(t, n.addr).connect(grant(t, "couple-7", time.Hour, nil, nil))
	if res.Client == "" || res.Version != "wedsync 1.2" || res.Ping != 25 || !res.Pong {
		t.Errorf("connect result %v", res)
	}
	if !res.Expires || res.Ttl < 3590 || res.Ttl > 3600 {
		t.Errorf("expires %v, ttl %d; the token is good for an hour", res.Expires, res.Ttl)
	}
	if res := dialRaw(t, n.addr).connect(all(t)); res.Expires {
		t.Error("a token without exp must not expire")
	}
	if got := metric(t, n, "wedsync_ws_connections"); got != 2 {
		t.Errorf("wedsync_ws_connections is %v, want 2", got)
	}
}

func TestInvalidTokens(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	claims := jwt.MapClaims{"sub": "couple-7"}
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, claims).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"none":             "",
		"nonsense":         "not.a.token",
		"another key":      sign(t, claims, strings.Repeat("z", 32)),
		"alg none":         none,
		"no sub":           sign(t, jwt.MapClaims{"channels": []string{"**"}}, key),
		"long sub":         sign(t, jwt.MapClaims{"sub": strings.Repeat("u", 129)}, key),
		"not yet":          sign(t, jwt.MapClaims{"sub": "u", "nbf": time.Now().Add(time.Hour).Unix()}, key),
		"channels no list": sign(t, jwt.MapClaims{"sub": "u", "channels": "**"}, key),
		"bad channels":     sign(t, jwt.MapClaims{"sub": "u", "channels": []string{"a b"}}, key),
		"many channels":    sign(t, jwt.MapClaims{"sub": "u", "channels": strings.Split(strings.Repeat("a,", 1000)+"a", ",")}, key),
		"bad publish":      sign(t, jwt.MapClaims{"sub": "u", "publish": []string{"**:a"}}, key),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dialRaw(t, n.addr)
			c.send(fmt.Sprintf(`{"id":1,"connect":{"token":%q}}`, token))
			c.wantClose(ws.CloseInvalidToken)
		})
	}
}

// An expired token is answered, not closed: the SDK gets another and returns. What it sent behind the
// connect command is not held against it.
func TestExpiredTokenAtConnect(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.ConnectTimeout = 200 * time.Millisecond })
	c := dialRaw(t, n.addr)
	c.send(fmt.Sprintf(`{"id":1,"connect":{"token":%q}}`+"\n"+`{"id":2,"subscribe":{"channel":"a"}}`,
		grant(t, "couple-7", -time.Minute, nil, nil)))
	if r := c.mustNext(); r.Id != 1 || r.Error.GetCode() != ws.ErrTokenExpired {
		t.Fatalf("reply %v, want error %d", r, ws.ErrTokenExpired)
	}
	c.wantClose(ws.CloseConnectTimeout)
}

func TestKeyRotation(t *testing.T) {
	t.Parallel()
	newKey := strings.Repeat("n", 32)
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.TokenKeys = []event.Secret{event.SecretOf(newKey), event.SecretOf(key)} })
	claims := jwt.MapClaims{"sub": "u"}
	dialRaw(t, n.addr).connect(sign(t, claims, newKey))
	dialRaw(t, n.addr).connect(sign(t, claims, key))
}

func TestInsecure(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.TokenKeys, c.Insecure = nil, true })
	c := dialRaw(t, n.addr)
	c.connect("")
	c.subscribe("**")
	c.send(`{"id":9,"publish":{"channel":"a:b","data":{"type":"timeline.updated","payload":{}}}}`)
	for range 2 { // the reply and the publication, in either order
		r := c.mustNext()
		if r.Error != nil {
			t.Fatalf("publish: %v", r.Error)
		}
		var ev event.Event
		if r.Push == nil {
			continue
		}
		if err := json.Unmarshal(r.Push.Pub.Data, &ev); err != nil || ev.Source != "client:anonymous" {
			t.Errorf("source %q, %v", ev.Source, err)
		}
	}
}

// What is not the protocol ends the connection with a code that says so.
func TestMisplacedCommands(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	for name, tt := range map[string]struct {
		connected bool
		send      string
		want      ws.CloseCode
	}{
		"not JSON":               {true, `hello`, ws.CloseBadRequest},
		"not UTF-8":              {true, "{\"id\":1,\"history\":{\"channel\":\"\xff\"}}", ws.CloseBadRequest},
		"an array":               {true, `[]`, ws.CloseBadRequest},
		"an empty line between":  {true, "{\"id\":5,\"unsubscribe\":{}}\n\n{\"id\":6,\"unsubscribe\":{}}", ws.CloseBadRequest},
		"subscribe at first":     {false, `{"id":1,"subscribe":{"channel":"a"}}`, ws.CloseBadRequest},
		"pong at first":          {false, `{}`, ws.CloseBadRequest},
		"connect without id":     {false, `{"connect":{}}`, ws.CloseBadRequest},
		"connect twice":          {true, `{"id":9,"connect":{}}`, ws.CloseBadRequest},
		"subscribe without id":   {true, `{"subscribe":{"channel":"a"}}`, ws.CloseBadRequest},
		"no request":             {true, `{"id":9}`, ws.CloseBadRequest},
		"pong without a ping":    {true, `{}`, ws.CloseBadRequest},
		"send, which is nowhere": {true, `{"send":{"data":{}}}`, ws.CloseNotAvailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dialRaw(t, n.addr)
			if tt.connected {
				c.connect(all(t))
			}
			c.send(tt.send)
			c.wantClose(tt.want)
		})
	}
}

func TestNotAvailable(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	c := dialConnected(t, n, all(t))
	for _, command := range []string{
		`"rpc":{"method":"x"}`, `"send":{"data":{}}`, `"presence":{"channel":"a:*"}`,
		`"presence_stats":{"channel":"**"}`, `"ping":{}`,
		`"subscribe":{"channel":"a","type":1}`, `"subscribe":{"channel":"a","tf":{"op":"not"}}`,
		`"publish":{"channel":"a","type":1,"data":{"type":"x","payload":{}}}`,
	} {
		if r := c.do(command); r.Error.GetCode() != ws.ErrNotAvailable || r.Error.GetMessage() == "" {
			t.Errorf("%s: %v, want error %d", command, r, ws.ErrNotAvailable)
		}
	}
}

// Several commands in one message are answered in order.
func TestCommandsInOneMessage(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	c := dialRaw(t, n.addr)
	c.send(fmt.Sprintf(`{"id":1,"connect":{"token":%q}}`, all(t)) + "\n" +
		`{"id":2,"subscribe":{"channel":"a"}}` + "\n" + `{"id":3,"history":{"channel":"a"}}`)
	if r := c.mustNext(); r.Id != 1 || r.Connect == nil {
		t.Errorf("first reply %v", r)
	}
	if r := c.mustNext(); r.Id != 2 || r.Subscribe == nil {
		t.Errorf("second reply %v", r)
	}
	if r := c.mustNext(); r.Id != 3 || r.History == nil {
		t.Errorf("third reply %v", r)
	}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	both := []string{"a:*", "b"}
	c := dialConnected(t, n, grant(t, "u", time.Hour, both, nil))
	for _, name := range []string{"a:1", "a:*", "b"} {
		c.subscribe(name)
	}

	res := c.ok(fmt.Sprintf(`"refresh":{"token":%q}`, grant(t, "u", 2*time.Hour, both, nil))).Refresh
	if !res.Expires || res.Ttl <= 3600 {
		t.Errorf("refresh result %v", res)
	}
	if r := c.do(fmt.Sprintf(`"refresh":{"token":%q}`, grant(t, "u", -time.Hour, both, nil))); r.Error.GetCode() != ws.ErrExpired {
		t.Errorf("refresh with an expired token: %v, want error %d", r, ws.ErrExpired)
	}

	// A narrower token ends what it does not allow, and only that.
	revoked := map[string]uint32{}
	c.id++
	c.send(fmt.Sprintf(`{"id":%d,"refresh":{"token":%q}}`, c.id, grant(t, "u", 0, []string{"a:1"}, nil)))
	for r := c.mustNext(); r.Id != c.id; r = c.mustNext() {
		revoked[r.Push.Channel] = r.Push.Unsubscribe.Code
	}
	if len(revoked) != 2 || revoked["a:*"] != ws.UnsubscribeRevoked || revoked["b"] != ws.UnsubscribeRevoked {
		t.Errorf("unsubscribed %v, want a:* and b with %d", revoked, ws.UnsubscribeRevoked)
	}
	n.publish("b", `{}`)
	n.publish("a:1", `{"n":1}`)
	if r := c.mustNext(); r.Push.GetChannel() != "a:1" {
		t.Errorf("got %v, want the publication on a:1", r)
	}

	c.send(fmt.Sprintf(`{"id":99,"refresh":{"token":%q}}`, grant(t, "somebody else", 0, both, nil)))
	c.wantClose(ws.CloseInvalidToken)
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.ExpiryGrace = 100 * time.Millisecond })
	begin := time.Now()
	c := dialConnected(t, n, grant(t, "u", 2*time.Second, nil, nil))
	c.wantClose(ws.CloseExpired)
	if took := time.Since(begin); took < time.Second {
		t.Errorf("closed after %v, before the token expired", took)
	}
}

func TestCloseCodes(t *testing.T) {
	t.Parallel()
	for code, reconnects := range map[ws.CloseCode]bool{
		ws.CloseMessageSize: false, ws.CloseShutdown: true, ws.CloseInternal: true, ws.CloseExpired: true,
		ws.CloseSlow: true, ws.CloseNoPong: true, ws.CloseInvalidToken: false, ws.CloseBadRequest: false,
		ws.CloseNotAvailable: false, ws.CloseConnectTimeout: true, 4500: false,
	} {
		if code.Reconnects() != reconnects {
			t.Errorf("%d reconnects: %v", code, code.Reconnects())
		}
		if r := code.Reason(); r == "" || json.Valid([]byte(r)) || len(r) > 123 {
			t.Errorf("%d has reason %q: it must be short, there, and not JSON", code, r)
		}
	}
}
