package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// printer writes answers, for people or for programs.
type printer struct {
	out  io.Writer
	json bool
}

// object writes v as one indented JSON document.
func (p printer) object(v any) error {
	e := json.NewEncoder(p.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// line writes v as JSON on one line, for streams.
func (p printer) line(v any) error {
	e := json.NewEncoder(p.out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// say writes a sentence for people.
func (p printer) say(format string, args ...any) {
	fmt.Fprintf(p.out, format+"\n", args...)
}

// told writes what was done: v for programs, a sentence for people.
func (p printer) told(v any, format string, args ...any) error {
	if p.json {
		return p.object(v)
	}
	p.say(format, args...)
	return nil
}

// table writes rows in columns below a head.
func (p printer) table(head []string, rows [][]string) error {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for n, row := range append([][]string{head}, rows...) {
		for i, cell := range row {
			if cell = plain(cell); cell == "" && n > 0 {
				cell = "-"
			}
			if i > 0 {
				_, _ = io.WriteString(w, "\t")
			}
			_, _ = io.WriteString(w, cell)
		}
		_, _ = io.WriteString(w, "\n")
	}
	return w.Flush()
}

// list writes items: for programs as they are, for people as a table of what row says.
func list[T any](p printer, items []T, head []string, row func(T) []string) error {
	if p.json {
		return p.object(items)
	}
	rows := make([][]string, len(items))
	for i, item := range items {
		rows[i] = row(item)
	}
	return p.table(head, rows)
}

// plain keeps what came over the network from moving the cursor or breaking a line.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}

// short cuts text to n characters.
func short(text string, n int) string {
	runes := []rune(text)
	if len(runes) <= n {
		return text
	}
	return string(runes[:n-1]) + "…"
}

func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }

// confirm asks, and fails unless the answer is yes.
func (p printer) confirm(stdin io.Reader, question string) error {
	p.say("%s [y/N]", question)
	answer, _ := bufio.NewReader(stdin).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}
