package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// generated is how Go marks generated files (see go help generate).
var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// block is a run of statements in a profile: "file.go:1.2,3.4 2" and how often it ran.
type block struct {
	file       string
	statements int
	ran        bool
}

type share struct{ covered, all int }

func (s share) percent() float64 {
	if s.all == 0 {
		return 100
	}
	return 100 * float64(s.covered) / float64(s.all)
}

func cover(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("cover", flag.ContinueOnError)
	least := flags.Float64("min", 0, "fail under so many percent")
	target := flags.String("o", "cover.out", "the merged profile without generated code")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("cover: name one profile")
	}
	profile, err := os.ReadFile(flags.Arg(0))
	if err != nil {
		return err
	}
	module, err := exec.Command("go", "list", "-m").Output() //nolint:noctx // answers at once
	if err != nil {
		return fmt.Errorf("go list -m: %w", err)
	}
	blocks, err := merge(profile, strings.TrimSpace(string(module)), os.ReadFile)
	if err != nil {
		return err
	}
	if err := os.WriteFile(*target, render(blocks), 0o600); err != nil {
		return err
	}
	return summarize(blocks, *least, out)
}

// merge reads a profile in which a block may stand several times, once a binary, and leaves out
// generated files. read reads a file of the module by its path from the module's root.
func merge(profile []byte, module string, read func(string) ([]byte, error)) (map[string]*block, error) {
	blocks, skip := map[string]*block{}, map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(profile))
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "mode:") {
			continue
		}
		f := strings.Fields(lines.Text()) // position, statements, count
		if len(f) != 3 {
			return nil, fmt.Errorf("not a line of a coverage profile: %q", lines.Text())
		}
		file, _, _ := strings.Cut(f[0], ":")
		if _, seen := skip[file]; !seen {
			source, err := read(strings.TrimPrefix(file, module+"/"))
			if err != nil {
				return nil, err
			}
			skip[file] = generated.Match(source)
		}
		if skip[file] {
			continue
		}
		n, err := strconv.Atoi(f[1])
		if err != nil {
			return nil, fmt.Errorf("not a line of a coverage profile: %q", lines.Text())
		}
		b := blocks[f[0]]
		if b == nil {
			b = &block{file: file, statements: n}
			blocks[f[0]] = b
		}
		b.ran = b.ran || f[2] != "0"
	}
	return blocks, lines.Err()
}

// render writes the blocks as a profile that go tool cover reads.
func render(blocks map[string]*block) []byte {
	var b bytes.Buffer
	b.WriteString("mode: set\n")
	for _, position := range slices.Sorted(maps.Keys(blocks)) {
		ran := 0
		if blocks[position].ran {
			ran = 1
		}
		fmt.Fprintf(&b, "%s %d %d\n", position, blocks[position].statements, ran)
	}
	return b.Bytes()
}

func summarize(blocks map[string]*block, least float64, out io.Writer) error {
	var total share
	packages := map[string]share{}
	for _, b := range blocks {
		p := packages[path.Dir(b.file)]
		p.all += b.statements
		total.all += b.statements
		if b.ran {
			p.covered += b.statements
			total.covered += b.statements
		}
		packages[path.Dir(b.file)] = p
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		p := packages[name]
		fmt.Fprintf(w, "%.1f %%\t%d of %d\t  %s\n", p.percent(), p.covered, p.all, name)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "total statement coverage: %.1f %%\n", total.percent())
	if total.percent() < least {
		return fmt.Errorf("statement coverage is %.1f %%, less than the %g %% asked for", total.percent(), least)
	}
	return nil
}
