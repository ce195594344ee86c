package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

type logRestoreCmd struct {
	serveCmd
	From      string `required:"" help:"Folder of the backup." placeholder:"FOLDER"`
	UsedSince bool   `help:"The log went on after it was backed up with --offline: clients load their channels anew."`
}

func (logRestoreCmd) Help() string {
	return `Makes the log that the node's configuration names, in an empty data folder: flags, file and environment are those of
"wedsync serve", which is started afterwards. The keys of the old node (api.key, ws.key, master.key) are put into the data folder first.
The backup is checked before anything is touched, and a log that is there already is left alone.

For a cluster it runs in the place of one core node, while the others run "wedsync serve --set log.awaitRestore=true" and wait
until it is done; they get the keys from the log.

Example:

    wedsync log restore --from /backup/monday --data /var/lib/wedsync`
}

func (c logRestoreCmd) Run(ctx context.Context, p printer, w world) error {
	cfg, err := c.load(w)
	if err != nil {
		return err
	}
	n := newNode(cfg, newLogger(w, cfg.Logging))
	if err := n.openSelf(ctx); err != nil {
		return err
	}
	if cfg.Cluster.Enabled() {
		if n.ring, err = openKeyring(n.cfg); err != nil {
			return err
		}
	}
	if err := n.hasMasterKey(); err != nil {
		return err
	}
	m, err := journal.RestoreLog(ctx, n.logConfig(), journal.Restore{
		Open:      func(file string) (io.ReadCloser, error) { return os.Open(filepath.Join(c.From, file)) }, // #nosec G304 -- the operator chooses the folder
		UsedSince: c.UsedSince, Told: progress(w.stderr, p.json, "restored"),
		Finish: func(ctx context.Context, j *journal.Journal) error { return n.finishRestore(ctx, j, c.From) },
	})
	if err != nil {
		return fmt.Errorf("%s: %w", c.From, err)
	}
	return p.told(m, "the log of %s, made %s, is restored; start the node with \"wedsync serve\"", m.Node, m.Made.Format(time.RFC3339))
}

// hasMasterKey fails where the secrets in the backup could not be read: a node would make a new key.
func (n *node) hasMasterKey() error {
	if n.cfg.Secrets.MasterKey.Reveal() != "" || n.cfg.Secrets.MasterKeyFile != "" {
		return nil
	}
	path := filepath.Join(n.cfg.Data, masterKeyFile)
	_, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%s is not there; put %s, %s and %s of the node that was backed up into that folder first", path, masterKeyFile, apiKeyFile, tokenKeyFile)
	}
	return err
}

// finishRestore gives the nodes of a cluster the keys, and records what was done.
func (n *node) finishRestore(ctx context.Context, j *journal.Journal, from string) error {
	n.journal = j
	if err := n.shareKeys(ctx); err != nil {
		return err
	}
	return j.Record(ctx, "", &event.Record{V: event.Version, Node: n.cfg.Node.Name, Audit: &event.Audit{
		At: time.Now().UTC(), Actor: "system", Action: "log.restore", Target: n.cfg.Node.Name, Outcome: "ok", Detail: from,
	}})
}
