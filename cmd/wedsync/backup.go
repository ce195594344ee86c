package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/cluster/journal"
)

type logCmd struct {
	Backup  logBackupCmd  `cmd:"" help:"Copy the log into a folder."`
	Restore logRestoreCmd `cmd:"" help:"Make a log from a backup."`
}

type logBackupCmd struct {
	nodeFlags
	To      string `required:"" help:"Folder of the backup. It is made, or is empty." placeholder:"FOLDER"`
	Offline bool   `help:"Read the log in the data folder itself, of a lone node that is stopped."`
}

func (logBackupCmd) Help() string {
	return `All that the log holds is copied: events, deliveries that wait, dead letters, records on their way to ClickHouse,
integrations, mappings, sealed secrets, API keys, and how far each was worked on. The keys in the data folder (api.key, ws.key,
master.key) are not: keep a copy of them apart from the backup.

The node at --addr goes on meanwhile. With --offline it is stopped, and the backup is the log's last state.

Examples:

    wedsync log backup --to /backup/monday

    wedsync log backup --offline --data /var/lib/wedsync --to /backup/last`
}

func (c logBackupCmd) Run(ctx context.Context, p printer, w world) error {
	folder, err := newBackupFolder(c.To)
	if err != nil {
		return err
	}
	told := progress(w.stderr, p.json, "copied")
	if c.Offline {
		log := zerolog.New(zerolog.ConsoleWriter{Out: w.stderr, NoColor: true}).Level(zerolog.WarnLevel)
		err = journal.BackupStopped(ctx, filepath.Join(c.Data, logFolder), log, folder.create, told)
	} else {
		err = c.fetch(ctx, folder, told)
	}
	m, err := folder.finish(err)
	if err != nil {
		return fmt.Errorf("%w; what is in %s is no backup", err, c.To)
	}
	var bytes int64
	for _, s := range m.Streams {
		bytes += s.Bytes
	}
	return p.told(map[string]any{"folder": c.To, "made": m.Made, "online": m.Online, "epoch": m.Epoch, "bytes": bytes},
		"the log is in %s, %s", c.To, megabytes(bytes))
}

// fetch has a running node send its log.
func (c logBackupCmd) fetch(ctx context.Context, folder *backupFolder, told func(journal.Progress)) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	node.http.Timeout = 0 // it takes as long as it takes
	resp, err := node.open(ctx, http.MethodGet, "/api/log/backup", nil, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	kind, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/mixed" {
		return fmt.Errorf("the node at %s sends no backup, but %q; are both of the same version?", c.Addr, resp.Header.Get("Content-Type"))
	}
	parts := multipart.NewReader(resp.Body, params["boundary"])
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the node sends no more: %w", err)
		}
		if err := folder.take(part.FileName(), part, told); err != nil {
			return err
		}
	}
}

// backupFolder is the folder of a backup that is made.
type backupFolder struct {
	path     string
	file     *os.File
	sums     map[string]hash.Hash
	manifest strings.Builder // is written when all else is known to be there
}

func newBackupFolder(path string) (*backupFolder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("--to %s: there is %s in it already; name an empty folder, or a new one", path, entries[0].Name())
	}
	return &backupFolder{path: path, sums: map[string]hash.Hash{}}, nil
}

// create begins the next file.
func (f *backupFolder) create(name string) (io.Writer, error) {
	if err := f.close(); err != nil {
		return nil, err
	}
	if name == journal.ManifestFile {
		return &f.manifest, nil
	}
	var err error
	f.file, err = os.OpenFile(filepath.Join(f.path, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // #nosec G304 -- the operator chooses the folder, take the name
	f.sums[name] = sha256.New()
	return io.MultiWriter(f.file, f.sums[name]), err
}

// close makes the file that was begun last durable.
func (f *backupFolder) close() error {
	if f.file == nil {
		return nil
	}
	err := errors.Join(f.file.Sync(), f.file.Close())
	f.file = nil
	return err
}

// take writes a file that a node sends.
func (f *backupFolder) take(name string, from io.Reader, told func(journal.Progress)) error {
	if name == "problem.json" {
		p := &problemError{}
		if err := json.NewDecoder(from).Decode(p); err != nil {
			return err
		}
		return p
	}
	if name != journal.ManifestFile && (!strings.HasSuffix(name, ".snapshot") || filepath.Base(name) != name) {
		return fmt.Errorf("the node sends a file %.80q, which is none of a backup", name)
	}
	w, err := f.create(name)
	if err != nil {
		return err
	}
	t := journal.NewTally(name, told)
	if _, err := io.Copy(io.MultiWriter(w, t), from); err != nil {
		return fmt.Errorf("%s did not arrive whole: %w", name, err) // what the node sends ends, or the disk is full
	}
	t.Done()
	return nil
}

// finish checks what was written, and makes a backup of it by writing the manifest.
func (f *backupFolder) finish(err error) (journal.Manifest, error) {
	if err = errors.Join(err, f.close()); err != nil {
		return journal.Manifest{}, err
	}
	text := f.manifest.String()
	if text == "" {
		return journal.Manifest{}, errors.New("it ends without a manifest, so it is not all; back up again")
	}
	m, err := journal.ParseManifest([]byte(text))
	if err != nil {
		return m, err
	}
	for _, s := range m.Streams {
		sum := f.sums[s.File()]
		if sum == nil || hex.EncodeToString(sum.Sum(nil)) != s.SHA256 {
			return m, fmt.Errorf("%s did not arrive as it was sent; back up again", s.File())
		}
	}
	return m, writeWhole(filepath.Join(f.path, journal.ManifestFile), []byte(text), os.Rename)
}

// progress writes, for people, how far each file is: now and then, and when it is done.
func progress(to io.Writer, quiet bool, done string) func(journal.Progress) {
	last := time.Now()
	return func(p journal.Progress) {
		switch {
		case quiet:
		case p.Done:
			fmt.Fprintf(to, "%s is %s, %s\n", p.File, done, megabytes(p.Bytes))
			last = time.Now()
		case time.Since(last) >= patienceEvery:
			fmt.Fprintf(to, "%s: %s so far\n", p.File, megabytes(p.Bytes))
			last = time.Now()
		}
	}
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
