package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/wedsync/wedsync/loadtest/checker"
)

// result is what came of one round.
type result struct {
	Fault   string          `json:"fault"`
	Report  *checker.Report `json:"report"` // nil: the round was not finished
	Strange []string        `json:"strange,omitempty"`

	load    *load
	whole   bool // the round was finished
	history *checker.History
}

func writeJSON(out io.Writer, results []*result) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(results)
}

func writeTable(out io.Writer, results []*result) error {
	if len(results) == 0 {
		return nil // there was no cluster
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "fault\taccepted\trefused\tfailed\tunanswered\tslowest\tnot allowed\tlost\treordered\tduplicates\tstale\twrong\taccept gap\tdelivery gap\tlive gap")
	for _, r := range results {
		if p := r.Report; p != nil {
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%.1f s\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f s\t%.1f s\t%.1f s\n", r.Fault,
				p.Accepted, p.Refused, p.Failed, p.Unanswered, p.Slowest.Seconds(), p.NotAllowed,
				p.Lost, p.Reordered, p.Duplicates, p.Stale, p.Wrong, p.AcceptGap.Seconds(), p.DeliveryGap.Seconds(), p.LiveGap.Seconds())
		}
	}
	err := w.Flush()
	for _, r := range results {
		if r.Report != nil && !r.Report.Clean() {
			for _, f := range r.Report.Findings[:min(3, len(r.Report.Findings))] {
				fmt.Fprintf(out, "%s: %s\n", r.Fault, f)
			}
		}
	}
	return err
}

// leave removes the campaign's folder when all was well and the nodes' logs are not to be kept. Otherwise it writes
// down what was found, and says where.
func (c *campaign) leave(results []*result, keepLogs bool, err error) error {
	clean := true
	for _, r := range results {
		clean = clean && (r.Report == nil || r.Report.Clean())
	}
	if !clean {
		err = errors.Join(err, errors.New("something was lost, reordered, wrong or not allowed"))
	}
	if err == nil && !keepLogs {
		return os.RemoveAll(c.dir)
	}
	kept := keep(filepath.Join(c.dir, "results.json"), results)
	for i, r := range results {
		if r.Report == nil || !r.Report.Clean() {
			kept = errors.Join(kept, keep(filepath.Join(c.dir, fmt.Sprintf("history-%d.json", i)), r.history))
		}
	}
	if err == nil && kept == nil {
		fmt.Fprintln(c.progress, "the nodes' logs and the results are in", c.dir)
		return nil
	}
	return errors.Join(err, kept, fmt.Errorf("the nodes' logs, the results and the histories of rounds that were not clean or not finished are in %s", c.dir))
}

func keep(path string, what any) error {
	data, err := json.MarshalIndent(what, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}
