package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

type applyCmd struct {
	nodeFlags
	File   string `short:"f" required:"" help:"The file; - reads standard input." placeholder:"FILE"`
	Yes    bool   `short:"y" help:"Do not ask."`
	DryRun bool   `help:"Show the plan and do nothing."`
	Prune  bool   `help:"Delete what the node has and the file has not."`
}

func (applyCmd) Help() string {
	return `The file has integrations, with their secrets if these are to be set, and mappings:

    integrations:
      - id: alices-crm
        vendor: studiocloud
        owner: {supplierId: 42}
        settings: {url: https://crm.example.com/hooks/wedsync}
        secrets: {signing: whsec_...}
    mappings:
      - id: timelines
        pattern: supplier:dashboard:{supplierId}
        types: [timeline.updated]
        targets: [{category: photography-crm}]
        when: payload.guestCount > 100

The plan is shown, and carried out if you say yes. What is not named in the file stays as it is, but with
--prune. "wedsync export" writes such a file.`
}

func (c applyCmd) Run(ctx context.Context, w world, p printer) error {
	asks := !c.Yes && !c.DryRun
	if asks && (c.File == "-" || p.json) {
		return usageError{errors.New("nobody can be asked; give --yes or --dry-run")}
	}
	s, err := openSeason(c.File, w.stdin)
	if err != nil {
		return err
	}
	node, err := c.client()
	if err != nil {
		return err
	}
	have, err := fetchStored(ctx, node)
	if err != nil {
		return err
	}
	plan, err := s.plan(have, c.Prune)
	if err != nil {
		return err
	}
	if !p.json {
		if err := showPlan(p, plan); err != nil {
			return err
		}
	}
	idle := !slices.ContainsFunc(plan, func(a planned) bool { return !a.idle() })
	if c.DryRun || idle {
		return told(p, plan, false)
	}
	if asks {
		if err := p.confirm(w.stdin, "Carry this out?"); err != nil {
			return err
		}
	}
	for i := range plan {
		err := plan[i].carryOut(ctx, node, func(said string) {
			if !p.json {
				p.say("%s", said)
			}
		})
		if err != nil {
			return fmt.Errorf("%w; what is above it in the plan is done, what is below is not", err)
		}
	}
	return told(p, plan, true)
}

// told writes the plan for programs.
func told(p printer, plan []planned, applied bool) error {
	if !p.json {
		return nil
	}
	return p.object(struct {
		Plan    []planned `json:"plan"`
		Applied bool      `json:"applied"`
	}{plan, applied})
}

func showPlan(p printer, plan []planned) error {
	counts := map[string]int{}
	var rows [][]string
	for i := range plan {
		a := &plan[i]
		counts[a.Action]++
		notes := slices.Clone(a.Changes)
		if len(a.Secrets) > 0 {
			notes = append(notes, "sets the secrets "+strings.Join(a.Secrets, ", "))
		}
		if len(notes) == 0 {
			notes = []string{""}
		}
		rows = append(rows, []string{a.Action, a.Kind, a.ID, notes[0]})
		for _, note := range notes[1:] {
			rows = append(rows, []string{" ", " ", " ", note})
		}
	}
	if err := p.table([]string{"action", "what", "id", "changes"}, rows); err != nil {
		return err
	}
	p.say("%d to create, %d to change, %d to delete, %d unchanged",
		counts[actionCreate], counts[actionChange], counts[actionDelete], counts[actionUnchanged])
	return nil
}
