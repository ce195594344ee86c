package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// Node is the node that the demo is played on, as it is reached from outside.
type Node struct {
	URL string // such as http://127.0.0.1:8080
	// Call calls the HTTP API and returns the answer's body.
	Call func(ctx context.Context, method, path string, in any) (json.RawMessage, error)
	// Token makes a WebSocket token for a user who may subscribe to and publish on these patterns.
	Token func(user string, subscribe, publish []string) (string, error)
}

// ClickHouse is where the node's records end up.
type ClickHouse interface {
	Version(ctx context.Context) (string, error)
	Summary(ctx context.Context, since time.Time) ([]analytics.IntegrationSummary, error)
	SLO(ctx context.Context, q analytics.SLOQuery) (analytics.SLOReport, error)
	Counts(ctx context.Context) (analytics.Counts, error)
}

var _ ClickHouse = (*analytics.Store)(nil)

// Config says what to play on.
type Config struct {
	Node       Node
	ClickHouse ClickHouse
	Vendors    *vendors.Set
	Receipts   *Receipts // that the vendors notify
	SDK        string    // folder with client.mjs and the centrifuge SDK; "": the couple uses the Go client
	Out        io.Writer // what is told
	Colour     bool
}

// Result is the last line. All of it is counted where things arrive: at the clients, at the vendors
// and in ClickHouse.
type Result struct {
	Scenes      int     `json:"scenes"`
	Passed      int     `json:"passed"`
	Events      int     `json:"events"`     // seen by the watching client
	Deliveries  uint64  `json:"deliveries"` // that ClickHouse knows of
	Delivered   uint64  `json:"delivered"`
	Dead        uint64  `json:"dead"`       // dead letters that were not replayed
	Lost        int     `json:"lost"`       // due and never arrived
	Duplicates  int     `json:"duplicates"` // arrived twice, at a vendor or a client
	SuccessRate float64 `json:"success_rate"`
	ClickHouse  string  `json:"clickhouse"`
}

// scene is one of the three.
type scene struct {
	name, about string
	play        func(*stage, context.Context) error
}

// sceneLimit bounds one scene; far more than it takes.
const sceneLimit = 45 * time.Second

// Run plays the scenes and returns what came of them. The error says what is missing.
func Run(ctx context.Context, cfg Config) (Result, error) {
	begun := time.Now().Add(-time.Second)
	s, err := setStage(ctx, cfg)
	if err != nil {
		return Result{}, fmt.Errorf("demo: setting the stage: %w", err)
	}
	defer s.close()
	scenes := []scene{
		{"Timeline", "the ceremony moves from 15:00 to 16:00", (*stage).timeline},
		{"Capacity", "the venue lowers its guest capacity", (*stage).capacity},
		{"Cascade", "the date changes while one vendor is down and one refuses", (*stage).cascade},
	}
	result := Result{Scenes: len(scenes)}
	var failed error
	for i, sc := range scenes {
		s.story.scene(i+1, sc.name, sc.about)
		sceneCtx, cancel := context.WithTimeout(ctx, sceneLimit)
		err := sc.play(s, sceneCtx)
		cancel()
		if err != nil {
			s.story.fail(err.Error())
			failed = fmt.Errorf("demo: scene %d, %s: %w", i+1, sc.name, err)
			continue
		}
		result.Passed++
	}
	if err := s.reckon(ctx, begun, &result); err != nil && failed == nil {
		failed = err
	}
	return result, failed
}
