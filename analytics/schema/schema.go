// Package schema holds the tables of analytics as numbered files. A file that was released is never
// changed: what is different comes in the next one. Each statement can be repeated without harm.
package schema

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

//go:embed *.sql
var files embed.FS

// Step is one file.
type Step struct {
	Version    uint32 // the number that its name begins with; they count from 1
	Name       string
	Statements []string
}

// Steps returns the files in order.
func Steps() ([]Step, error) {
	entries, err := fs.ReadDir(files, ".") // sorted by name
	if err != nil {
		return nil, err
	}
	steps := make([]Step, 0, len(entries))
	for i, entry := range entries {
		number, _, _ := strings.Cut(entry.Name(), "_")
		version, err := strconv.ParseUint(number, 10, 32)
		if err != nil || version != uint64(i)+1 {
			return nil, fmt.Errorf("schema file %s: its number should be %d", entry.Name(), i+1)
		}
		text, err := fs.ReadFile(files, entry.Name())
		if err != nil {
			return nil, err
		}
		step := Step{Version: uint32(version), Name: entry.Name()}
		for statement := range strings.SplitSeq(string(text), ";\n") {
			if strings.TrimSpace(statement) != "" {
				step.Statements = append(step.Statements, statement)
			}
		}
		steps = append(steps, step)
	}
	return steps, nil
}
