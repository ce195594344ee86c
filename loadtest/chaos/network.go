package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

const (
	nodes  = 3
	places = nodes + 1 // one is for a node that joins and leaves
)

// network is a bridge and a namespace for each place of a node, of this run alone.
type network struct {
	id     string // the run's process id, hexadecimal
	subnet int    // 10.77.<subnet>.0/24
}

// newNetwork makes it, or says what is missing.
func newNetwork(ctx context.Context) (*network, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("network namespaces need root; run it as root, or in a container that may make them")
	}
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%s is missing; install the packages iproute2 and nftables", tool)
		}
	}
	if err := sweep(ctx); err != nil {
		return nil, err
	}
	n := &network{id: fmt.Sprintf("%x", os.Getpid()), subnet: 1 + os.Getpid()%250}
	lines := []string{
		"link add " + n.bridge() + " type bridge",
		fmt.Sprintf("addr add %s/24 dev %s", n.host(), n.bridge()),
		"link set " + n.bridge() + " up",
	}
	for i := range places {
		ns, outer, inner := n.namespace(i), fmt.Sprintf("ws%sv%d", n.id, i), fmt.Sprintf("ws%sp%d", n.id, i)
		lines = append(lines,
			"netns add "+ns,
			fmt.Sprintf("link add %s type veth peer name %s", outer, inner),
			fmt.Sprintf("link set %s netns %s", inner, ns),
			fmt.Sprintf("link set %s master %s", outer, n.bridge()),
			fmt.Sprintf("link set %s up", outer),
			fmt.Sprintf("-n %s addr add %s/24 dev %s", ns, n.addr(i), inner),
			fmt.Sprintf("-n %s link set %s up", ns, inner),
			fmt.Sprintf("-n %s link set lo up", ns),
		)
	}
	for _, line := range lines {
		if err := command(ctx, "ip", strings.Fields(line)...); err != nil {
			n.remove()
			return nil, fmt.Errorf("making the network: %w; is it permitted here?", err)
		}
	}
	return n, nil
}

func (n *network) bridge() string         { return "ws" + n.id + "br" }
func (n *network) namespace(i int) string { return fmt.Sprintf("ws%sn%d", n.id, i+1) }
func (n *network) host() string           { return fmt.Sprintf("10.77.%d.1", n.subnet) }
func (n *network) addr(i int) string      { return fmt.Sprintf("10.77.%d.%d", n.subnet, 11+i) }

// remove takes away what was made, as far as it was.
func (n *network) remove() {
	ctx := context.Background()
	for i := range places {
		_ = command(ctx, "ip", "netns", "del", n.namespace(i))
		_ = command(ctx, "ip", "link", "del", fmt.Sprintf("ws%sv%d", n.id, i))
	}
	_ = command(ctx, "ip", "link", "del", n.bridge())
}

var (
	// ours are the names of namespaces, bridges and their ends, as network gives them.
	ours = regexp.MustCompile(`\bws([0-9a-f]+)(?:n\d|br|v\d|p\d)\b`)
	// images are those of disks, in the folders that run makes.
	images = regexp.MustCompile(`wedsync-chaos-([0-9a-f]+)-\d+/n\d+\.img$`)
)

// sweep takes away what runs that were killed have left, as much as there is of it. Their nodes have ended with them.
func sweep(ctx context.Context) error {
	var list []byte
	for _, args := range [][]string{{"netns", "list"}, {"-o", "link", "show"}} {
		out, err := exec.CommandContext(ctx, "ip", args...).Output()
		if err != nil {
			return fmt.Errorf("listing what other runs have left: ip %s: %w", strings.Join(args, " "), err)
		}
		list = append(list, out...)
	}
	swept := map[string]bool{}
	for _, found := range ours.FindAllStringSubmatch(string(list), -1) {
		if id := found[1]; !swept[id] && gone(id) {
			swept[id] = true
			(&network{id: id}).remove()
		}
	}
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "wedsync-chaos-*", "n*.img"))
	if err != nil {
		return err
	}
	for _, image := range left {
		if found := images.FindStringSubmatch(image); len(found) > 1 && gone(found[1]) {
			dir := strings.TrimSuffix(image, ".img")
			(&disk{dir: dir, group: groups + "ws" + found[1] + filepath.Base(dir)}).remove()
		}
	}
	return nil
}

// gone reports whether the run of a process id, in hexadecimal, has ended.
func gone(id string) bool {
	pid, err := strconv.ParseInt(id, 16, 32)
	return err == nil && errors.Is(syscall.Kill(int(pid), 0), syscall.ESRCH)
}

// filter has a node drop packets as the rules say, one a line, for input and output; none: nothing.
func (n *network) filter(ctx context.Context, i int, input, output []string) error {
	var b strings.Builder
	b.WriteString("table inet chaos\ndelete table inet chaos\ntable inet chaos {\n")
	for hook, rules := range map[string][]string{"input": input, "output": output} {
		fmt.Fprintf(&b, "chain %s { type filter hook %s priority 0;\n%s\n}\n", hook, hook, strings.Join(rules, "\n"))
	}
	b.WriteString("}\n")
	return n.nft(ctx, i, b.String())
}

// redirect has a node's connections to addresses (host:port) go elsewhere; none: as they are.
func (n *network) redirect(ctx context.Context, i int, elsewhere map[string]string) error {
	var b strings.Builder
	b.WriteString("table ip chaosnat\ndelete table ip chaosnat\n")
	if len(elsewhere) > 0 {
		b.WriteString("table ip chaosnat {\nchain output { type nat hook output priority -100;\n")
		for from, to := range elsewhere {
			host, port, _ := strings.Cut(from, ":")
			fmt.Fprintf(&b, "ip daddr %s tcp dport %s dnat to %s\n", host, port, to)
		}
		b.WriteString("}\n}\n")
	}
	return n.nft(ctx, i, b.String())
}

func (n *network) nft(ctx context.Context, i int, rules string) error {
	cmd := exec.CommandContext(ctx, "ip", "netns", "exec", n.namespace(i), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, out)
	}
	return nil
}

func command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
