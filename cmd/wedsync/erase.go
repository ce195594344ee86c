package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// eraseWait is longer than the node takes at most.
const eraseWait = 11 * time.Minute

// patienceEvery is how often who waits is told that it goes on.
const patienceEvery = 2 * time.Second

type eraseCmd struct {
	nodeFlags
	Wedding string `arg:"" help:"The wedding, as events name it: their weddingId, or the payload's coupleId."`
	DryRun  bool   `help:"Only count what there is."`
	Yes     bool   `short:"y" help:"Do not ask."`
}

func (eraseCmd) Help() string {
	return `Removes the wedding's events, the deliveries that wait, the dead letters and what is remembered of its
profiles, and takes out of ClickHouse what identifies it; without ClickHouse it removes the records that wait
for one. Then it looks again; the command fails where something is left. It cannot be undone. What
vendors were sent already is theirs to erase.`
}

// ofWedding counts what there is of a wedding.
type ofWedding struct {
	Events      int    `json:"events"`
	Deliveries  int    `json:"deliveries"`
	DeadLetters int    `json:"deadLetters"`
	Clients     int    `json:"clients"`
	Records     int    `json:"records"`
	Rows        uint64 `json:"rows"`
}

func (w ofWedding) none() bool { return w == ofWedding{} }

type erasedWedding struct {
	Analytics bool      `json:"analytics"`
	Removed   ofWedding `json:"removed"`
	Left      ofWedding `json:"left"`
}

func (c eraseCmd) Run(ctx context.Context, p printer, w world) error {
	if !c.DryRun && !c.Yes {
		if p.json {
			return usageError{errors.New("nobody can be asked; give --yes or --dry-run")}
		}
		if err := p.confirm(w.stdin, fmt.Sprintf("Remove everything of the wedding %s, for good?", c.Wedding)); err != nil {
			return err
		}
	}
	node, err := c.client()
	if err != nil {
		return err
	}
	node.http.Timeout = eraseWait
	if !p.json {
		defer patience(w.stderr)()
	}
	got, text, err := ask[erasedWedding](ctx, node, http.MethodPost, "/api/weddings/"+url.PathEscape(c.Wedding)+"/erase", nil, map[string]bool{"dryRun": c.DryRun})
	if err != nil {
		return err
	}
	if p.json {
		err = p.object(text)
	} else {
		err = got.print(p)
	}
	if err == nil && !c.DryRun && !got.Left.none() {
		err = errors.New("something of it is left; is it still being published? erase it again")
	}
	return err
}

// patience writes now and then how long it takes already, until the function that it returns is called.
func patience(to io.Writer) (stop func()) {
	began, ended, done := time.Now(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(patienceEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprintf(to, "the node goes through its log, for %v now\n", time.Since(began).Round(time.Second))
			case <-ended:
				return
			}
		}
	}()
	return func() { close(ended); <-done }
}

func (e erasedWedding) print(p printer) error {
	row := func(name string, w ofWedding) []string {
		return []string{
			name, strconv.Itoa(w.Events), strconv.Itoa(w.Deliveries), strconv.Itoa(w.DeadLetters), strconv.Itoa(w.Clients),
			strconv.Itoa(w.Records), strconv.FormatUint(w.Rows, 10),
		}
	}
	err := p.table([]string{"", "events", "deliveries", "dead letters", "of profiles", "records", "rows"}, [][]string{row("removed", e.Removed), row("left", e.Left)})
	if !e.Analytics {
		p.say("this node has no ClickHouse; if it gets one back that it had before, erase the wedding again")
	}
	return err
}
