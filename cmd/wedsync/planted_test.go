package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/wedsync/wedsync/loadtest/nodeproc"
)

// planted are the secrets of a node and where they must not be found.
type planted struct {
	t       *testing.T
	secrets map[string]string // what it is, by its text
	seen    int               // texts looked through
}

// add plants a secret, whole and what is in it: the bytes of a key, the path of an address.
func (p *planted) add(what, secret string) {
	p.t.Helper()
	if len(secret) < 12 {
		p.t.Fatalf("%s has %d bytes: too few to be looked for", what, len(secret))
	}
	p.secrets[secret] = what
	if text, ok := strings.CutPrefix(secret, "whsec_"); ok {
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			p.t.Fatal(err)
		}
		p.secrets[text], p.secrets[string(key)] = what, what
	}
	if u, err := url.Parse(secret); err == nil && u.Host != "" {
		p.secrets[u.Path] = what
	}
	var keyset struct {
		Key []struct{ KeyData struct{ Value string } }
	}
	if json.Unmarshal([]byte(secret), &keyset) == nil {
		for _, k := range keyset.Key {
			p.secrets[k.KeyData.Value] = what
		}
	}
}

// looks fails for each secret that stands in a text, in one of the ways that it could be written.
func (p *planted) looks(where string, text []byte) {
	p.t.Helper()
	p.seen++
	if what, near := p.find(text); what != "" {
		p.t.Errorf("%s shows %s: ...%.200q", where, what, near)
	}
}

func (p *planted) find(text []byte) (what string, near []byte) {
	for secret, what := range p.secrets {
		quoted, _ := json.Marshal(secret) // of a text it never fails
		for _, shape := range []string{
			secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)), fmt.Sprintf("%x", secret), string(quoted[1 : len(quoted)-1]),
		} {
			if at := bytes.Index(text, []byte(shape)); at >= 0 {
				return what, text[max(0, at-80):]
			}
		}
	}
	return "", nil
}

// walks looks through all files of a folder but those of these names, and reports whether the text that is
// no secret stands in one: that they can be looked through at all.
func (p *planted) walks(dir, open string, but ...string) (readable bool) {
	p.t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || slices.Contains(but, d.Name()) {
			return err
		}
		left, err := os.ReadFile(path)
		p.looks(path, left)
		readable = readable || bytes.Contains(left, []byte(open))
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return readable
}

// queries looks through all rows of all tables of a ClickHouse, with its own logs if it has some, and
// returns how many tables had rows.
func (p *planted) queries(dsn string) (filled int) {
	p.t.Helper()
	options, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		p.t.Fatal(err)
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	read := func(query string) (found []string) {
		p.t.Helper()
		rows, err := conn.Query(p.t.Context(), query)
		if err != nil {
			p.t.Fatalf("%s: %v", query, err)
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				p.t.Fatalf("%s: %v", query, err)
			}
			found = append(found, text)
		}
		if err := rows.Err(); err != nil {
			p.t.Fatalf("%s: %v", query, err)
		}
		return found
	}
	tables := "SELECT concat('`', database, '`.`', name, '`') FROM system.tables WHERE lower(database) != 'information_schema' AND NOT is_temporary"
	for _, table := range read(tables + " AND (database != 'system' OR name LIKE '%\\_log')") {
		rows := read("SELECT formatRow('JSONEachRow', *) FROM " + table)
		filled += min(len(rows), 1)
		p.looks(table, []byte(strings.Join(rows, "\n")))
	}
	return filled
}

// serveApart runs "wedsync serve" as a process of its own. It returns what the process wrote on standard
// error so far, and what has it crash with a dump of all goroutines.
func serveApart(t *testing.T, dir string, flags ...string) (n *nodeproc.Node, logs func() []byte, crash func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	n, err = nodeproc.Start(nodeproc.Config{
		Binary: self, Dir: filepath.Join(dir, "data"), Flags: flags, Stderr: file, Env: []string{asCommand + "=1", "GOTRACEBACK=all"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Kill)
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if err := n.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	logs = func() []byte {
		text, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	return n, logs, func() {
		if err := syscall.Kill(n.PID(), syscall.SIGQUIT); err != nil {
			t.Fatal(err)
		}
		<-n.Done()
		_ = file.Close()
	}
}
