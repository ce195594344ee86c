package vendors

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
)

// profileType is the type of a call that carries a client's profile.
const profileType = "client.profile"

// clients are those of a studio whose service takes profiles by webhook. A client that is new is answered
// 201, one that is known 200, and a repeat of the same webhook what it was answered first.
type clients struct {
	mu      sync.Mutex
	byID    map[string]map[string]any
	answers map[string]int // by webhook
}

func newClients() *clients {
	return &clients{byID: map[string]map[string]any{}, answers: map[string]int{}}
}

func (c *clients) all() map[string]map[string]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.byID)
}

func (c *clients) take(webhook string, body []byte) reply {
	client, err := readClient(body)
	if err != nil {
		return signedError(http.StatusUnprocessableEntity, "invalid_body", err)
	}
	id, _ := client["client_id"].(string)
	c.mu.Lock()
	defer c.mu.Unlock()
	status, repeated := c.answers[webhook]
	if !repeated {
		status = http.StatusCreated
		if _, known := c.byID[id]; known {
			status = http.StatusOK
		}
		c.answers[webhook], c.byID[id] = status, client
	}
	r := jsonReply(status, map[string]string{"client_id": id})
	r.taken = true
	return r
}

func readClient(body []byte) (map[string]any, error) {
	var b map[string]any
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, err
	}
	fields := []string{"client_id", "email", "name", "notes", "phone", "venue", "wedding_date"}
	if got := slices.Sorted(maps.Keys(b)); !slices.Equal(got, fields) {
		return nil, fmt.Errorf("the fields must be %v, not %v", fields, got)
	}
	for _, f := range fields {
		if _, ok := b[f].(string); b[f] != nil && !ok {
			return nil, errors.New(f + " must be a text or null")
		}
	}
	return b, missing(b, "client_id", "name")
}
