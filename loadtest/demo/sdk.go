package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"github.com/wedsync/wedsync/loadtest/wsclient"
)

// couple is the couple's client.
type couple interface {
	publish(ctx context.Context, channel string, e wsclient.Event) error
	close()
}

var (
	_ couple = (*sdk)(nil)
	_ couple = goCouple{}
)

// goCouple is a couple with the Go client.
type goCouple struct{ *wsclient.Client }

func (c goCouple) publish(ctx context.Context, channel string, e wsclient.Event) error {
	return c.Publish(ctx, channel, e)
}

func (c goCouple) close() { _ = c.Close() }

// sdk is a couple with the centrifuge JavaScript SDK: a node process that is told by JSON lines what
// to do. client.mjs says which.
type sdk struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	said seen[sdkEvent]
	refs atomic.Int64
	done chan struct{} // closed when its output has ended
}

type sdkEvent struct {
	Event  string `json:"event"`
	Ref    string `json:"ref"`
	Reason string `json:"reason"`
}

// startSDK starts the process and connects.
func startSDK(ctx context.Context, dir, url, token string) (*sdk, error) {
	script, err := filepath.Abs(filepath.Join(dir, "client.mjs"))
	if err != nil {
		return nil, err
	}
	s := &sdk{cmd: exec.Command("node", script), done: make(chan struct{})} //nolint:noctx // it ends with its input
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(s.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var e sdkEvent
			if json.Unmarshal(lines.Bytes(), &e) == nil {
				s.said.add(e)
			}
		}
	}()
	if err := s.tell(map[string]any{"op": "connect", "url": url, "token": token}); err != nil {
		s.close()
		return nil, err
	}
	if _, err := s.said.await(ctx, "the couple's SDK connects", 1, func(e sdkEvent) bool { return e.Event == "connected" }); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *sdk) tell(command map[string]any) error {
	text, err := json.Marshal(command)
	if err != nil {
		return err
	}
	_, err = s.in.Write(append(text, '\n'))
	return err
}

func (s *sdk) publish(ctx context.Context, channel string, e wsclient.Event) error {
	ref := strconv.FormatInt(s.refs.Add(1), 10)
	if err := s.tell(map[string]any{"op": "publish", "ref": ref, "channel": channel, "data": e}); err != nil {
		return err
	}
	said, err := s.said.await(ctx, "the SDK's publish is answered", 1, func(e sdkEvent) bool { return e.Ref == ref })
	if err != nil {
		return err
	}
	if said[0].Event != "done" {
		return errors.New("the SDK's publish was refused: " + said[0].Reason)
	}
	return nil
}

func (s *sdk) close() {
	_ = s.in.Close()
	<-s.done
	_ = s.cmd.Wait()
}

// newCouple connects the couple, by the SDK if there is one.
func newCouple(ctx context.Context, sdkDir, url, token string) (couple, string, error) {
	if sdkDir != "" {
		c, err := startSDK(ctx, sdkDir, url, token)
		if err != nil {
			return nil, "", fmt.Errorf("the JavaScript SDK: %w", err)
		}
		return c, "JavaScript SDK", nil
	}
	c, err := wsclient.Dial(ctx, url, token)
	if err != nil {
		return nil, "", err
	}
	return goCouple{c}, "Go client", nil
}
