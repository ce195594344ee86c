package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// The exit codes of the command.
const (
	exitOK     = 0
	exitFailed = 1 // it did not work
	exitUsage  = 2 // wrong arguments or configuration; nothing was tried
)

// cli is the command line.
type cli struct {
	JSON bool `name:"json" help:"Print JSON for programs, not text for people."`

	Serve        serveCmd        `cmd:"" help:"Run a node."`
	Demo         demoCmd         `cmd:"" help:"Play three wedding scenes through a real node and count what arrived."`
	Sim          simCmd          `cmd:"" help:"Run the vendor simulators alone."`
	Load         loadCmd         `cmd:"" help:"Play a wedding season against nodes, with vendors failing, and report what arrived."`
	Publish      publishCmd      `cmd:"" help:"Publish an event on a channel."`
	Tail         tailCmd         `cmd:"" help:"Follow channels and print their events."`
	SLO          sloCmd          `cmd:"" name:"slo" help:"Show delivery success against its target."`
	Analytics    analyticsCmd    `cmd:"" help:"See and migrate ClickHouse's tables."`
	Dead         deadCmd         `cmd:"" help:"List and replay dead letters: deliveries that were given up."`
	Integrations integrationsCmd `cmd:"" help:"See how integrations with vendors do, pause and resume them."`
	Mappings     mappingsCmd     `cmd:"" help:"See and change which events go to whom."`
	Apply        applyCmd        `cmd:"" help:"Connect vendors: bring integrations and mappings to what a YAML file says."`
	Export       exportCmd       `cmd:"" help:"Write all integrations and mappings as a YAML file."`
	Deliveries   deliveriesCmd   `cmd:"" help:"Find what became of events at each vendor."`
	Keys         keysCmd         `cmd:"" help:"Make, list and revoke API keys: who may call a node, and what."`
	Audit        auditCmd        `cmd:"" help:"Find who did what, when, from where and with which outcome."`
	Members      membersCmd      `cmd:"" help:"List the nodes of a cluster: what each does and how it stands."`
	Drain        drainCmd        `cmd:"" help:"Hand a node's shards over to the others, before it is stopped for long."`
	ClusterKeys  clusterKeysCmd  `cmd:"" help:"Replace the key that the nodes of a cluster share."`
	MasterKey    masterKeyCmd    `cmd:"" help:"Replace the key that seals the vendors' secrets."`
	Log          logCmd          `cmd:"" help:"Back the log up, and restore it."`
	Erase        eraseCmd        `cmd:"" help:"Remove a couple's personal data from the log and from ClickHouse."`
	Version      versionCmd      `cmd:"" help:"Print the version."`
}

const description = `Connects the WebSocket channels of a wedding-planning product with the systems of wedding vendors.

Start a node with "wedsync serve"; the other commands talk to it.`

// usageError is the user's to mend before anything is tried.
type usageError struct{ error }

// exited is how kong's own flags, such as --help, end a run.
type exited int

// command parses args, runs the command and returns the exit code. ctx ends when the process is told to stop.
func command(ctx context.Context, args []string, w world) (code int) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case exited:
			code = int(r)
		default:
			panic(r)
		}
	}()
	var c cli
	parser, err := kong.New(&c,
		kong.Name("wedsync"),
		kong.Description(description),
		kong.Writers(w.stdout, w.stderr),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(w),
	)
	if err != nil {
		return complain(w, err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return complain(w, usageError{fmt.Errorf("%w; try %s", err, helpFor(err))})
	}
	return complain(w, parsed.Run(printer{w.stdout, c.JSON}))
}

// helpFor names the help that would have told.
func helpFor(err error) string {
	var p *kong.ParseError
	command := ""
	if errors.As(err, &p) && p.Context != nil {
		if selected := p.Context.Selected(); selected != nil {
			command, _, _ = strings.Cut(" "+selected.Path(), " <")
		}
	}
	return "wedsync" + command + " --help"
}

// complain prints what is wrong, one line each, and returns the exit code.
func complain(w world, err error) int {
	if err == nil {
		return exitOK
	}
	for line := range strings.SplitSeq(strings.TrimRight(err.Error(), "\n"), "\n") {
		fmt.Fprintln(w.stderr, "wedsync:", line)
	}
	var usage usageError
	var config *configError
	if errors.As(err, &usage) || errors.As(err, &config) {
		return exitUsage
	}
	return exitFailed
}
