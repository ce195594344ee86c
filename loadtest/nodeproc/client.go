package nodeproc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// Client calls a node's HTTP API. It is safe for concurrent use.
type Client struct {
	URL  string // such as http://127.0.0.1:20123
	Key  string // API key
	HTTP *http.Client
}

// NewClient returns a client that keeps connections for many callers at once.
func NewClient(url, key string) *Client {
	return &Client{URL: url, Key: key, HTTP: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
}

// Close ends the connections that are kept.
func (c *Client) Close() { c.HTTP.CloseIdleConnections() }

// StatusError is an answer that is no success.
type StatusError struct {
	Method, Path string
	Status       int
	Header       http.Header
	Body         []byte
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s %s: %d %s", e.Method, e.Path, e.Status, bytes.TrimSpace(e.Body))
}

// Send makes a request with a JSON body and returns the answer's. An answer of 300 and above is a
// *StatusError.
func (c *Client) Send(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.Key)
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err == nil && resp.StatusCode >= http.StatusMultipleChoices {
		err = &StatusError{method, path, resp.StatusCode, resp.Header, answer}
	}
	return answer, err
}

// Call makes a request with in as its body (nil: none) and reads the answer into out (nil: not at all).
func (c *Client) Call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	var err error
	if in != nil {
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	answer, err := c.Send(ctx, method, path, body)
	if err == nil && out != nil {
		err = json.Unmarshal(answer, out)
	}
	return err
}

// Connect stores an integration and its current secrets.
func (c *Client) Connect(ctx context.Context, in event.Integration, secrets event.Secrets) error {
	if err := c.Call(ctx, http.MethodPut, "/api/integrations/"+in.ID, in, nil); err != nil {
		return err
	}
	plain := map[string]string{}
	for name := range secrets {
		plain[name] = secrets.Current(name).Reveal()
	}
	return c.Call(ctx, http.MethodPut, "/api/integrations/"+in.ID+"/secrets", plain, nil)
}

// Map stores a mapping.
func (c *Client) Map(ctx context.Context, m event.Mapping) error {
	return c.Call(ctx, http.MethodPut, "/api/mappings/"+m.ID, m, nil)
}

// Health asks how an integration does.
func (c *Client) Health(ctx context.Context, id string) (event.Health, error) {
	var h event.Health
	err := c.Call(ctx, http.MethodGet, "/api/integrations/"+id+"/health", nil, &h)
	return h, err
}

// Publish publishes an event, whose body is {"type":..., "payload":{...}, "id":...}, on a channel.
func (c *Client) Publish(ctx context.Context, channel string, body []byte) error {
	_, err := c.Send(ctx, http.MethodPost, "/api/channels/"+channel+"/publish", body)
	return err
}
