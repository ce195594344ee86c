package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/wedsync/wedsync/loadtest/checker"
	"github.com/wedsync/wedsync/loadtest/nodeproc"
	"github.com/wedsync/wedsync/loadtest/vendors"
	"github.com/wedsync/wedsync/loadtest/wsclient"
)

// ErrNoConnection is why nothing was sent over WebSocket.
var ErrNoConnection = errors.New("the client has no connection")

// Unsent reports whether a request failed for want of a connection.
func Unsent(err error) bool {
	var refused *net.OpError
	return errors.Is(err, ErrNoConnection) || errors.As(err, &refused) && refused.Op == "dial"
}

// wsInternal is the code by which a WebSocket command failed for reasons of the node (edge/ws, "ErrInternal").
const wsInternal = 100

// Outcome is what became of a publish that err came of.
func Outcome(err error) checker.Outcome {
	var status *nodeproc.StatusError
	var reply *wsclient.Error
	var code int
	switch {
	case err == nil:
		return checker.Accepted
	case Unsent(err):
		return checker.Unsent
	case errors.As(err, &status):
		code = status.Status
	case errors.As(err, &reply):
		code = int(reply.Code)
	default:
		return checker.Unanswered
	}
	if code >= http.StatusInternalServerError || code == wsInternal {
		return checker.Failed
	}
	return checker.Refused
}

// SendWebhook has a vendor send a webhook, which becomes one event, and returns its sequence.
func SendWebhook(ctx context.Context, from vendors.Sender, node, path string, w vendors.Webhook) (seq uint64, err error) {
	sent, err := from.Send(ctx, node+path, w)
	if err != nil {
		return 0, err
	}
	if sent[0].Status >= http.StatusMultipleChoices {
		return 0, &nodeproc.StatusError{Method: http.MethodPost, Path: path, Status: sent[0].Status, Header: sent[0].Header, Body: sent[0].Body}
	}
	var answer struct{ Events []struct{ Seq uint64 } }
	if err := json.Unmarshal(sent[0].Body, &answer); err != nil {
		return 0, err
	}
	if len(answer.Events) != 1 {
		return 0, fmt.Errorf("one webhook became %d events", len(answer.Events))
	}
	return answer.Events[0].Seq, nil
}
