package journal

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Cluster is a log that several nodes hold together. A core node runs one of its servers and keeps a
// copy of every stream; a node without a log of its own connects to theirs.
type Cluster struct {
	// Routes is the host:port at which the log's servers of other nodes connect to this one's; "": this
	// node holds nothing of the log.
	Routes string
	// Peers are the Routes of the core nodes that make the log: three or five. All of them must be
	// there when it is made, and more than half of them ever after. A node that replaces one of them need
	// not be among them.
	Peers []string
	// Clients is the host:port at which nodes without a log connect to this one.
	Clients string
	// Servers are the Clients of the core nodes, for a node that holds nothing of the log.
	Servers []string
	// Await has this node make no log where there is none: another one restores it from a backup.
	Await bool
	// TLS is for both sides of every connection between nodes, and says who is let in; nil: none, and
	// whoever reaches the ports is let in.
	TLS *tls.Config
}

func (c *Cluster) validate(bad func(format string, args ...any)) {
	addresses := map[string][]string{"Cluster.Servers": c.Servers}
	if c.Routes != "" {
		addresses = map[string][]string{"Cluster.Peers": c.Peers, "Cluster.Routes": {c.Routes}, "Cluster.Clients": {c.Clients}}
		if n := len(c.Peers); n != 3 && n != 5 {
			bad("Cluster.Peers has %d core nodes; 3 or 5 can agree on a log", n)
		}
	} else if len(c.Servers) == 0 {
		bad("Cluster.Servers is empty: a node without a log connects to the core nodes'")
	}
	for name, list := range addresses {
		for _, addr := range list {
			if _, _, err := splitAddr(addr); err != nil {
				bad("%s: %q is no host:port: %w", name, addr, err)
			}
		}
	}
}

func splitAddr(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return host, int(n), err
}

// clustered makes the options of a server those of one among several.
func (c *Cluster) clustered(opts *server.Options, door *doorkeeper) error {
	var err error
	opts.DontListen = false
	if opts.Host, opts.Port, err = splitAddr(c.Clients); err != nil {
		return err
	}
	opts.Cluster.Name = clusterName
	if opts.Cluster.Host, opts.Cluster.Port, err = splitAddr(c.Routes); err != nil {
		return err
	}
	for _, peer := range c.Peers { // its own too: the number of them is how many are to agree at first
		opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats", Host: peer})
	}
	opts.Cluster.ConnectBackoff = false // a node that is back should be reached at once
	opts.ConnectErrorReports, opts.ReconnectErrorReports = routeReports, routeReports
	opts.Cluster.PingInterval, opts.Cluster.MaxPingsOut = routePing, routePingsOut
	// Under Raft, what was answered may be lost in a power failure unless the disk is synced first. There is
	// nothing left for each store to sync from time to time then, which would keep an idle node busy.
	opts.SyncAlways, opts.SyncInterval = true, 0
	opts.CustomClientAuthentication = door
	if c.TLS != nil {
		opts.TLSConfig, opts.TLSTimeout, opts.TLSVerify = c.TLS, tlsTimeout.Seconds(), true
		opts.Cluster.TLSConfig, opts.Cluster.TLSTimeout = c.TLS, tlsTimeout.Seconds()
	}
	return nil
}

const (
	clusterName = "wedsync"
	tlsTimeout  = 5 * time.Second
	// A route whose other end was cut off is given up after two pings without an answer.
	routePing     = time.Second
	routePingsOut = 2
	// A node that is away is tried every second, and every so many tries it is said.
	routeReports = 60
)

// systemUser may do, from within this process, what concerns the servers themselves.
const systemUser = "system"

// doorkeeper lets in whom TLS let in. It is asked after the handshake.
type doorkeeper struct{ server *server.Server }

// Check implements server.Authentication.
func (d *doorkeeper) Check(c server.ClientAuthentication) bool {
	if c.GetOpts().Username != systemUser {
		return true
	}
	if _, remote := c.RemoteAddress().(*net.TCPAddr); remote {
		return false
	}
	c.RegisterUser(&server.User{Username: systemUser, Account: d.server.SystemAccount()})
	return true
}

// awaitQuorum waits until the log's servers have agreed on who leads them.
func (j *Journal) awaitQuorum(ctx context.Context) error {
	for said := time.Now(); ; {
		err := bounded(ctx, time.Second, func(ctx context.Context) error {
			_, err := j.js.AccountInfo(ctx)
			return err
		})
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return &StoreError{j.path, fmt.Errorf("%w: %w", ErrUnavailable, err), "start the other core nodes, and check that they reach each other"}
		}
		if time.Since(said) > 5*time.Second {
			said = time.Now()
			j.log.Warn().Strs("peers", j.cfg.Cluster.Peers).Strs("servers", j.cfg.Cluster.Servers).AnErr("because", err).
				Msg("waiting for more than half of the core nodes, to open the log")
		}
		wait(ctx, 200*time.Millisecond)
	}
}

const (
	// overdue is when a node makes the assets though another one is meant to.
	overdue = 15 * time.Second
	// useTimeout bounds one try to open them: a server that has no leader yet does not answer.
	useTimeout = 3 * time.Second
)

func bounded(ctx context.Context, d time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return do(ctx)
}

// openTogether opens the assets of a log that several nodes open at the same time. Only the node whose
// server leads the others makes what is missing: JetStream leaves requests unanswered when several nodes
// create and update one stream at once (nats-server 2.15.2).
func (j *Journal) openTogether(ctx context.Context, s sizes) error {
	began := time.Now()
	for said := began; ; {
		err := bounded(ctx, useTimeout, j.useAssets)
		leads := j.server != nil && j.server.JetStreamIsLeader()
		awaited := j.cfg.Cluster.Await && j.marker.Assets == 0
		if passing(err) && !awaited && (leads || time.Since(began) > overdue) {
			err = bounded(ctx, overdue, func(ctx context.Context) error { return j.ensureAssets(ctx, s) })
		}
		if err == nil || ctx.Err() != nil || !passing(err) {
			return err
		}
		if time.Since(said) > 5*time.Second {
			said = time.Now()
			j.log.Warn().AnErr("because", err).Msg("waiting for the other core nodes, to open the log")
		}
		wait(ctx, 300*time.Millisecond)
	}
}

// useAssets opens the assets as they are. It fails with ErrNotFound where one is missing, or where the log
// was made by an older release than this one and not yet brought to this one's.
func (j *Journal) useAssets(ctx context.Context) error {
	if err := j.readMarker(ctx); err != nil {
		return err
	}
	if j.marker.Assets < assets {
		return fmt.Errorf("assets of release %d: %w", assets, ErrNotFound)
	}
	for _, c := range streamConfigs(j.cfg, sizes{}) {
		s, err := j.js.Stream(ctx, c.Name)
		if err != nil {
			return j.storeError(fmt.Errorf("stream %s: %w", c.Name, err))
		}
		if wanted := j.cfg.bytesOf(c.Name); wanted != 0 && j.keepBytes(c.Name, wanted, s.CachedInfo()) != s.CachedInfo().Config.MaxBytes {
			return fmt.Errorf("stream %s of another size: %w", c.Name, ErrNotFound)
		}
		j.use(s)
	}
	for _, c := range bucketConfigs(j.cfg, sizes{}) {
		if err := j.useBucket(ctx, c.Bucket); err != nil {
			return err
		}
	}
	return j.useOverwritten(ctx)
}

// passing tells an error that ends when the other nodes are there, or have done what this one was doing.
func passing(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrRestoring) || errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) ||
		errors.Is(err, jetstream.ErrBucketExists) || errors.Is(err, jetstream.ErrBucketNotFound) ||
		errors.Is(err, jetstream.ErrStreamNotFound) || errors.As(err, &api) && api.ErrorCode == codeNoPeers
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// RemovePeer takes a core node that will not come back out of the log's cluster; copies of what it held
// are made on another one that has no copy. It fails with ErrNotFound where there is no such node.
func (j *Journal) RemovePeer(ctx context.Context, name string) error {
	if j.server == nil || j.cfg.Cluster == nil {
		return fmt.Errorf("removing %s from the log: %w: this node holds none of it; ask a core node", name, ErrNotFound)
	}
	nc, err := j.dial("manage", nats.UserInfo(systemUser, ""))
	if err != nil {
		return j.fail("removing "+name+" from the log", err)
	}
	defer nc.Close()
	body, err := json.Marshal(map[string]string{"peer": name})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	m, err := nc.RequestWithContext(ctx, server.JSApiRemoveServer, body)
	if err != nil {
		return j.fail("removing "+name+" from the log", err)
	}
	var answer struct {
		Success bool             `json:"success"`
		Error   *server.ApiError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return err
	}
	switch {
	case answer.Error == nil && answer.Success:
		return nil
	case answer.Error != nil && answer.Error.ErrCode == uint16(server.JSClusterServerNotMemberErr):
		return fmt.Errorf("removing %s from the log: %w", name, ErrNotFound)
	case answer.Error != nil:
		return fmt.Errorf("removing %s from the log: %s", name, answer.Error.Description)
	}
	return errors.New("removing " + name + " from the log: it was refused without a reason")
}
