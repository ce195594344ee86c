package peers

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"
)

// version of the messages. A field that is added does not raise it; what older nodes would misread does.
const version = 1

// MaxBody bounds what a request or an answer carries. gRPC drops what is above its own bound without a word.
const MaxBody = 1 << 20

// frame is what travels, as JSON in a google.protobuf.BytesValue.
type frame struct {
	V    int    `json:"v"`
	ID   uint64 `json:"id"` // of the request, to the node that asks
	From string `json:"from"`

	Kind string        `json:"kind,omitempty"` // of a request
	Left time.Duration `json:"left,omitempty"` // until its deadline

	Code string `json:"code,omitempty"` // of an answer that is an error
	Text string `json:"text,omitempty"`

	Body []byte `json:"body,omitempty"`
}

func (f *frame) encode() (*wrapperspb.BytesValue, error) {
	if len(f.Body) > MaxBody {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(f.Body), MaxBody)
	}
	f.V = version
	data, err := json.Marshal(f)
	return wrapperspb.Bytes(data), err
}

func decode(data []byte) (*frame, error) {
	f := &frame{}
	if err := json.Unmarshal(data, f); err != nil {
		return nil, fmt.Errorf("a message of another node cannot be read: %w", err)
	}
	if f.V != version {
		return f, fmt.Errorf("%w: the message has version %d, this node speaks %d", ErrUnsupported, f.V, version)
	}
	return f, nil
}

// Errors of requests.
var (
	ErrUnreachable = errors.New("peers: the node cannot be reached")
	ErrUnsupported = errors.New("peers: the node does not know such requests")
	ErrBusy        = errors.New("peers: too many requests are under way")
	ErrTooLarge    = errors.New("peers: the message is too large")
	ErrClosed      = errors.New("peers: closed")
)

// codes are how these errors travel.
var codes = map[string]error{"unsupported": ErrUnsupported, "busy": ErrBusy, "too_large": ErrTooLarge}

// codeOf returns the code of an error, "failed" for one that has none.
func (p *Peers) codeOf(err error) string {
	for _, known := range []map[string]error{codes, p.cfg.Errors} {
		for code, e := range known {
			if errors.Is(err, e) {
				return code
			}
		}
	}
	return "failed"
}

// errorOf makes of an answer's error one that errors.Is finds.
func (p *Peers) errorOf(node string, f *frame) error {
	err, ok := codes[f.Code]
	if !ok {
		err, ok = p.cfg.Errors[f.Code]
	}
	if !ok {
		return fmt.Errorf("node %s: %s", node, f.Text)
	}
	if strings.HasPrefix(f.Text, err.Error()) {
		return fmt.Errorf("node %s: %w%s", node, err, f.Text[len(err.Error()):])
	}
	return fmt.Errorf("node %s: %w: %s", node, err, f.Text)
}
