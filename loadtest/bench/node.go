package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

type bench struct{ binary string }

// node is a wedsync process.
type node struct {
	cmd  *exec.Cmd
	dir  string
	url  string
	key  string
	http *http.Client
	up   time.Duration // from its start until it was ready
}

// start starts a node with an empty store and without ClickHouse, and waits until it is ready.
func (b *bench) start(ctx context.Context, set ...string) (_ *node, err error) {
	n := &node{http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
	if n.dir, err = os.MkdirTemp("", "wedsync-bench-*"); err != nil {
		return nil, err
	}
	addr, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	n.url = "http://" + addr
	args := []string{
		"serve", "--addr", addr, "--data", n.dir, "--clickhouse", "off", "--log-level", "warn", "--insecure",
		"--set", "delivery.allowPrivate=127.0.0.0/8",
	}
	for _, s := range set {
		args = append(args, "--set", s)
	}
	n.cmd = exec.Command(b.binary, args...) //nolint:gosec,noctx // it is the binary to measure; stop ends it
	n.cmd.Stderr = os.Stderr
	begun := time.Now()
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	for tick := time.NewTicker(2 * time.Millisecond); ; {
		resp, err := n.http.Get(n.url + "/readyz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				tick.Stop()
				break
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), n.stop())
		}
		if time.Since(begun) > 30*time.Second {
			return nil, errors.Join(errors.New("the node is not ready after 30 s"), n.stop())
		}
	}
	n.up = time.Since(begun)
	key, err := os.ReadFile(filepath.Join(n.dir, "api.key"))
	n.key = strings.TrimSpace(string(key))
	return n, err
}

func freeAddress(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (n *node) stop() error {
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	_ = n.cmd.Wait()
	return os.RemoveAll(n.dir)
}

func (n *node) call(ctx context.Context, method, path string, in any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return n.send(ctx, method, path, body)
}

func (n *node) send(ctx context.Context, method, path string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, method, n.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+n.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := n.http.Do(req)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %d %s", method, path, resp.StatusCode, answer)
	}
	return err
}

const signing = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// connect adds an integration that calls the address, for the supplier of the same name.
func (n *node) connect(ctx context.Context, id, address string) error {
	err := n.call(ctx, http.MethodPut, "/api/integrations/"+id, event.Integration{
		ID: id, Vendor: "studiocloud", Owner: map[string]string{"supplierId": id}, Settings: json.RawMessage(fmt.Sprintf(`{"url":%q}`, address)),
	})
	if err != nil {
		return err
	}
	return n.call(ctx, http.MethodPut, "/api/integrations/"+id+"/secrets", map[string]string{"signing": signing, "webhook": signing})
}

func (n *node) mapAll(ctx context.Context) error {
	return n.call(ctx, http.MethodPut, "/api/mappings/all", event.Mapping{
		ID: "all", Pattern: "supplier:dashboard:{supplierId}:**", Targets: []event.Target{{Category: event.PhotographyCRM}},
	})
}

// publish appends an event of some 300 bytes for a supplier.
func (n *node) publish(ctx context.Context, supplier, lane, id string) error {
	body := fmt.Sprintf(`{"id":%q,"type":"timeline.updated","payload":{"coupleId":"cpl_7Qm2x","coupleName":"Amélie & Jonas",`+
		`"venue":"Château de Vaux, Orangerie","ceremonyTime":"2027-06-19T16:00:00+02:00","previousCeremonyTime":"2027-06-19T15:00:00+02:00",`+
		`"notes":"Grandmother Odile needs step-free access."}}`, id)
	return n.send(ctx, http.MethodPost, "/api/channels/supplier:dashboard:"+supplier+":"+lane+"/publish", []byte(body))
}

// rss is the node's resident memory in MB.
func (n *node) rss() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			return kb / 1024, err
		}
	}
	return 0, errors.New("no VmRSS")
}

// cpu is the processor time that the node has used. Linux counts it in hundredths of a second.
func (n *node) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] {
		t, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += t
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// ownCPU is the processor time of this process: load and vendor.
func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
