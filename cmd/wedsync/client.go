package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// nodeFlags say which node a command talks to.
type nodeFlags struct {
	Addr string `help:"Address of the node." default:"http://127.0.0.1:8080" env:"WEDSYNC_ADDR" placeholder:"URL"`
	Key  string `help:"API key. Default: what stands in api.key in the node's data folder, if it can be read." env:"WEDSYNC_KEY,WEDSYNC_API_KEY" placeholder:"KEY"`
	Data string `help:"The node's data folder." default:"./data" env:"WEDSYNC_DATA" placeholder:"DIR"`
}

// client calls a node's HTTP API.
type client struct {
	base *url.URL
	key  string
	http *http.Client
}

// requestTimeout bounds one call of the API; the slowest asks ClickHouse.
const requestTimeout = 30 * time.Second

func (f nodeFlags) client() (*client, error) {
	base, err := f.baseURL()
	if err != nil {
		return nil, err
	}
	key := f.Key
	if key == "" {
		key = readKey(filepath.Join(f.Data, apiKeyFile))
	}
	return &client{base: base, key: key, http: &http.Client{Timeout: requestTimeout}}, nil
}

func (f nodeFlags) baseURL() (*url.URL, error) {
	text := f.Addr
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usageError{fmt.Errorf("--addr %q is no address of a node; write it like http://127.0.0.1:8080", f.Addr)}
	}
	return u, nil
}

// readKey returns what stands in a key file, or "".
func readKey(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// problemError is an error answer of the API (RFC 9457).
type problemError struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Field  string `json:"field"`
		Reason string `json:"reason"`
	} `json:"errors"`
}

func (e *problemError) Error() string {
	var b strings.Builder
	switch {
	case e.Detail != "":
		b.WriteString(e.Detail)
	case e.Title != "":
		b.WriteString(e.Title)
	default:
		b.WriteString(http.StatusText(e.Status))
	}
	for i, p := range e.Errors {
		b.WriteString([]string{": ", "; "}[min(i, 1)])
		b.WriteString(p.Field + ": " + p.Reason)
	}
	if e.Code != "" {
		fmt.Fprintf(&b, " (%d %s)", e.Status, e.Code)
	} else {
		fmt.Fprintf(&b, " (%d)", e.Status)
	}
	if e.Status == http.StatusUnauthorized {
		b.WriteString("; give the API key with --key or WEDSYNC_KEY, or the node's data folder with --data")
	}
	return plain(b.String())
}

// call sends in (nil: no body) as JSON and returns the answer's body. path is escaped already.
func (c *client) call(ctx context.Context, method, path string, query url.Values, in any) (json.RawMessage, error) {
	resp, err := c.open(ctx, method, path, query, in)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if len(text) > 0 && !json.Valid(text) {
		return nil, fmt.Errorf("what answers at %s is no wedsync node: it sends no JSON", c.base)
	}
	return text, nil
}

// open is call for an answer that is no JSON, whose body is to be read and closed.
func (c *client) open(ctx context.Context, method, path string, query url.Values, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	target := strings.TrimSuffix(c.base.String(), "/") + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if resp.StatusCode < http.StatusBadRequest {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, c.unreachable(err)
	}
	p := &problemError{}
	if json.Unmarshal(text, p) != nil {
		p = &problemError{Detail: fmt.Sprintf("%s answers %q", c.base, short(string(text), 200))}
	}
	p.Status = resp.StatusCode
	return nil, p
}

func (c *client) unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("no node answers at %s (%w); start one with \"wedsync serve\" or name another with --addr", c.base, err)
}

// ask calls and reads the answer as a T, and returns it as it came too.
func ask[T any](ctx context.Context, c *client, method, path string, query url.Values, in any) (T, json.RawMessage, error) {
	var out T
	text, err := c.call(ctx, method, path, query, in)
	if err == nil && len(text) > 0 {
		if err = json.Unmarshal(text, &out); err != nil {
			err = fmt.Errorf("the node at %s answers otherwise than this wedsync expects; are both of the same version? %w", c.base, err)
		}
	}
	return out, text, err
}
