package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/ws"
	"github.com/wedsync/wedsync/loadtest/wsclient"
)

type tailCmd struct {
	nodeFlags
	Channel []string `arg:"" help:"Channels, or patterns such as supplier:dashboard:* or **."`
	Last    int      `short:"n" help:"Begin with the last so many events of each channel (not of patterns)." placeholder:"N"`
	Count   int      `help:"End after so many events." placeholder:"N"`
	Token   string   `help:"A client's token (JWT). Default: one made with ws.key in the node's data folder, if it can be read." env:"WEDSYNC_TOKEN" placeholder:"JWT"`
}

func (tailCmd) Help() string {
	return `Events are printed as they come, with --json one a line as the log holds them. When the connection
breaks, the command comes back and prints what it missed on channels; patterns have no memory.`
}

// errEnough ends tail after --count events.
var errEnough = errors.New("enough")

func (c tailCmd) Run(ctx context.Context, p printer) error {
	base, err := c.baseURL()
	if err != nil {
		return err
	}
	for _, channel := range c.Channel {
		if _, err := event.ParsePattern(channel); err != nil {
			return usageError{err}
		}
	}
	token, renew := c.token()
	target := url.URL{Scheme: map[string]string{"http": "ws", "https": "wss"}[base.Scheme], Host: base.Host, Path: base.Path + ws.Path}
	conn, err := wsclient.Config{URL: target.String(), Token: token, NewToken: renew}.Dial(ctx)
	if err != nil {
		return fmt.Errorf("no connection to %s: %w", target.String(), err)
	}
	defer func() { _ = conn.Close() }()

	t := &tail{p: p, left: c.Count, ended: make(chan error, 1)}
	for _, channel := range c.Channel {
		if err := t.follow(ctx, conn, channel, c.Last); err != nil {
			if ctx.Err() != nil {
				return nil // told to end before it had begun
			}
			return err
		}
	}
	select {
	case err := <-t.ended:
		if errors.Is(err, errEnough) {
			return nil
		}
		return err
	case <-conn.Done():
		return fmt.Errorf("the connection is closed: %w", conn.Err())
	case <-ctx.Done():
		return nil
	}
}

// token returns a client's token and what renews it. Without a key the token is empty: the node
// may be in insecure mode.
func (c tailCmd) token() (string, func(context.Context) (string, error)) {
	if c.Token != "" {
		return c.Token, nil
	}
	key := readKey(filepath.Join(c.Data, tokenKeyFile))
	if key == "" {
		return "", nil
	}
	renew := func(context.Context) (string, error) {
		return mint(event.SecretOf(key), "wedsync-cli", []string{"**"}, nil, time.Now())
	}
	token, err := renew(context.Background())
	if err != nil {
		return "", nil
	}
	return token, renew
}

// mint makes a user's token for an hour, with the patterns it may subscribe to and publish on.
func mint(key event.Secret, user string, subscribe, publish []string, now time.Time) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": user, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "channels": subscribe, "publish": publish,
	}).SignedString([]byte(key.Reveal()))
}

// tail prints publications, from the client's one reading goroutine once it follows. Printing may
// block: then the node cuts the client off, and it recovers.
type tail struct {
	p     printer
	left  int // to be printed; 0: no end
	ended chan error
}

func (t *tail) follow(ctx context.Context, conn *wsclient.Client, channel string, last int) error {
	var since *wsclient.Position
	if pattern, err := event.ParsePattern(channel); last > 0 && err == nil && pattern.IsChannel() {
		old, at, err := conn.History(ctx, channel, wsclient.HistoryQuery{Limit: last, Newest: true})
		if err != nil {
			return err
		}
		for _, p := range slices.Backward(old) {
			t.print(p)
		}
		since = &at
	}
	_, err := conn.Subscribe(ctx, wsclient.Subscribe{
		Channel: channel, Since: since, Publication: t.print,
		Subscribed: func(s wsclient.Subscribed) {
			if s.WasRecovering && !s.Recovered {
				t.end(fmt.Errorf("%s: too much was missed to be recovered; start anew, with --last", channel))
			}
		},
		Lost: func(err error) { t.end(fmt.Errorf("%s: %w", channel, err)) },
	})
	return err
}

func (t *tail) end(err error) {
	select {
	case t.ended <- err:
	default: // it ends already
	}
}

func (t *tail) print(p wsclient.Publication) {
	if t.left < 0 {
		return
	}
	var err error
	if t.p.json {
		err = t.p.line(tailed{p.Offset, p.Data})
	} else if ev, bad := p.Event(); bad != nil {
		err = bad
	} else {
		_, err = fmt.Fprintf(t.p.out, "%s  %d  %s  %s  %s  %s\n",
			ev.AcceptedAt.Local().Format("15:04:05.000"), p.Offset, ev.Channel, ev.Type, ev.Source, plain(string(ev.Payload)))
	}
	switch {
	case err != nil:
		t.end(err)
	case t.left == 1:
		t.left = -1
		t.end(errEnough)
	case t.left > 1:
		t.left--
	}
}

// tailed is one line of tail --json.
type tailed struct {
	Seq   uint64          `json:"seq"`
	Event json.RawMessage `json:"event"`
}
