package ws

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/centrifugal/protocol"
)

// maxRPCAnswer bounds what an application answers to a call.
const maxRPCAnswer = 1 << 20

// rpcCall is what the application is sent, and rpcAnswer what it answers, as Centrifugo's RPC proxy has it
// (centrifugal.dev/docs/server/proxy, rpc). Data that is no JSON comes and goes as base64.
type rpcCall struct {
	Client   string          `json:"client"`
	User     string          `json:"user"`
	Protocol string          `json:"protocol"`
	Method   string          `json:"method"`
	Data     json.RawMessage `json:"data,omitempty"`
	B64Data  string          `json:"b64data,omitempty"`
}

type rpcAnswer struct {
	Result *struct {
		Data    json.RawMessage `json:"data"`
		B64Data string          `json:"b64data"`
	} `json:"result"`
	Error *struct {
		Code      uint32 `json:"code"`
		Message   string `json:"message"`
		Temporary bool   `json:"temporary"`
	} `json:"error"`
}

// rpc has the application answer a call.
func (c *client) rpc(ctx context.Context, req *protocol.RPCRequest) (*protocol.RPCResult, *protocol.Error) {
	if c.server.cfg.RPC == "" {
		return nil, replyError(ErrNotAvailable, "rpc is not available here")
	}
	call := rpcCall{Client: c.id, User: c.who.user, Protocol: c.wire.String(), Method: strings.Clone(req.Method)}
	if json.Valid(req.Data) {
		call.Data = json.RawMessage(req.Data)
	} else {
		call.B64Data = base64.StdEncoding.EncodeToString(req.Data)
	}
	answer, err := c.server.callApplication(ctx, call)
	if err != nil {
		c.log().Warn().Err(err).Str("method", call.Method).Msg("the application did not answer a call")
		return nil, replyError(ErrInternal, "the application does not answer")
	}
	if e := answer.Error; e != nil {
		return nil, &protocol.Error{Code: e.Code, Message: e.Message, Temporary: e.Temporary}
	}
	data := []byte(answer.Result.Data)
	if answer.Result.B64Data != "" {
		if data, err = base64.StdEncoding.DecodeString(answer.Result.B64Data); err != nil || c.wire == wireJSON && !json.Valid(data) {
			c.log().Warn().AnErr("cause", err).Str("method", call.Method).Msg("the application answered what the client cannot be told")
			return nil, replyError(ErrInternal, "the application's answer cannot be told in JSON")
		}
	}
	return &protocol.RPCResult{Data: data}, nil
}

func (s *Server) callApplication(ctx context.Context, call rpcCall) (rpcAnswer, error) {
	var answer rpcAnswer
	body, err := json.Marshal(call)
	if err != nil {
		return answer, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.RPC, bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.application.Do(req)
	if err != nil {
		return answer, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxRPCAnswer+1))
	switch {
	case err != nil:
		return answer, err
	case resp.StatusCode != http.StatusOK:
		return answer, fmt.Errorf("it answered %s", resp.Status)
	case len(data) > maxRPCAnswer:
		return answer, fmt.Errorf("it answered more than %d bytes", maxRPCAnswer)
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return answer, fmt.Errorf("its answer: %w", err)
	}
	if answer.Result == nil && (answer.Error == nil || answer.Error.Code == 0) {
		return answer, errors.New("its answer has neither a result nor an error with a code")
	}
	return answer, nil
}
