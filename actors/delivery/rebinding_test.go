package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
)

// serveDNS runs a name server, and returns a resolver that asks it. Each name has what its look-ups are answered
// one after the other, the last for good: addresses with a space between them.
func serveDNS(t *testing.T, names map[string][]string) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		asked := map[dnsmessage.Question]int{} // a look-up asks for each type once
		buf := make([]byte, 512)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m = dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true}, Questions: m.Questions}
			if answers := names[strings.TrimSuffix(q.Name.String(), ".")]; len(answers) == 0 {
				m.RCode = dnsmessage.RCodeNameError
			} else {
				m.Answers = resources(q, answers[min(asked[q], len(answers)-1)])
				asked[q]++
			}
			if out, err := m.Pack(); err == nil {
				_, _ = pc.WriteTo(out, from)
			}
		}
	}()
	t.Cleanup(func() { _ = pc.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

func resources(q dnsmessage.Question, addresses string) (all []dnsmessage.Resource) {
	for text := range strings.FieldsSeq(addresses) {
		addr, h := netip.MustParseAddr(text), dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}
		switch {
		case q.Type == dnsmessage.TypeA && addr.Is4():
			all = append(all, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: addr.As4()}})
		case q.Type == dnsmessage.TypeAAAA && addr.Is6():
			all = append(all, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	return all
}

// The stage of a rebinding: a vendor at an address that stands for a public one, and a service of our own
// on the same port at addresses that nobody may be led to.
const publicAddress = "127.0.0.2"

type stage struct {
	port             int
	vendor, internal atomic.Int64 // connections
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{}
	for range 20 {
		all, err := listenAll(publicAddress, "127.0.0.1", "::1")
		if err != nil {
			t.Logf("once more: %v", err) // the port is somebody's at one of the addresses
			continue
		}
		s.port = all[0].Addr().(*net.TCPAddr).Port
		count(t, all[0], &s.vendor)
		count(t, all[1], &s.internal)
		count(t, all[2], &s.internal)
		return s
	}
	t.Fatal("no port is free at all loopback addresses")
	return nil
}

// listenAll listens on one port of all addresses.
func listenAll(addrs ...string) (all []net.Listener, err error) {
	port := "0"
	for _, addr := range addrs {
		ln, err := net.Listen("tcp", net.JoinHostPort(addr, port))
		if err != nil {
			for _, ln := range all {
				_ = ln.Close()
			}
			return nil, err
		}
		all = append(all, ln)
		port = strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	}
	return all, nil
}

// count answers each connection with a little of both protocols, and counts it.
func count(t *testing.T, ln net.Listener, into *atomic.Int64) net.Addr {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			into.Add(1)
			_, _ = io.WriteString(c, "421 not now\r\n")
			_ = c.Close()
		}
	})
	t.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	return ln.Addr()
}

func anywhere(t *testing.T, addr string) net.Listener {
	t.Helper()
	all, err := listenAll(addr)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

// sender has the real guard, but for the address that stands for a public one.
func (s *stage) sender(t *testing.T, names map[string][]string) *delivery.Sender {
	t.Helper()
	out := newSender(t, delivery.SenderConfig{Guard: delivery.NewGuard([]netip.Prefix{netip.MustParsePrefix(publicAddress + "/32")})})
	out.ResolveBy(serveDNS(t, names))
	return out
}

// ways are all in which a vendor is called.
func ways(host string, port int) map[string]*event.Call {
	at := net.JoinHostPort(host, strconv.Itoa(port))
	mail := func(tls string) *event.Call {
		return &event.Call{Mail: &event.Mail{Host: host, Port: port, TLS: tls, From: "a@wedding.test", To: []string{"b@vendor.test"}, MessageID: "m@wedsync"}}
	}
	return map[string]*event.Call{
		"http": post("http://"+at+"/", "x"), "https": post("https://"+at+"/", "x"),
		"mail": mail("none"), "mail with STARTTLS": mail("starttls"), "mail with TLS": mail("implicit"),
	}
}

func blocked(err error) bool {
	var refused *delivery.BlockedError
	return errors.As(err, &refused)
}

// TestNamesThatChangeTheirAddress: a name that was a public address when it was looked up first is not believed
// the next time, whatever way it is called.
func TestNamesThatChangeTheirAddress(t *testing.T) {
	t.Parallel()
	for name, later := range map[string]string{
		"loopback": "127.0.0.1", "metadata": "169.254.169.254", "loopback of IPv6": "::1", "NAT64": "64:ff9b::7f00:1", "NAT64, local": "64:ff9b:1::7f00:1",
		"mapped": "::ffff:127.0.0.1", "6to4": "2002:7f00:1::", "unspecified": "0.0.0.0", "both": "127.0.0.1 ::1", "private": "10.0.0.1",
	} {
		for way := range ways("", 0) {
			t.Run(name+" by "+way, func(t *testing.T) {
				t.Parallel()
				st := newStage(t)
				s := st.sender(t, map[string][]string{"vendor.test": {publicAddress, later}})
				call := ways("vendor.test", st.port)[way]
				if a := s.Do(within(t, time.Minute), call); blocked(a.Err) || st.vendor.Load() != 1 {
					t.Fatalf("at first: %v, %d connections", a.Err, st.vendor.Load())
				}
				for range 2 {
					if a := s.Do(within(t, time.Minute), call); !blocked(a.Err) {
						t.Errorf("later: status %d, %v", a.Status, a.Err)
					}
				}
				if st.vendor.Load() != 1 || st.internal.Load() != 0 {
					t.Errorf("%d connections to the vendor, %d to our own", st.vendor.Load(), st.internal.Load())
				}
			})
		}
	}
}

// TestNamesWithSeveralAddresses: where the public one of a name's addresses does not answer, the dialer goes on to
// the others, and these are refused too.
func TestNamesWithSeveralAddresses(t *testing.T) {
	t.Parallel()
	for _, addresses := range []string{"127.0.0.2 127.0.0.1", "127.0.0.1 127.0.0.2", "127.0.0.2 ::1", "::1 127.0.0.2 127.0.0.1"} {
		st := newStage(t)
		var closed atomic.Int64
		silent := count(t, anywhere(t, "127.0.0.1"), &closed).(*net.TCPAddr).Port // where nobody is at the public address
		s := st.sender(t, map[string][]string{"vendor.test": {addresses}})
		for way, call := range ways("vendor.test", silent) {
			if a := s.Do(within(t, time.Minute), call); a.Err == nil || a.Status != 0 || closed.Load() != 0 {
				t.Errorf("%s by %s: status %d, %v, %d connections", addresses, way, a.Status, a.Err, closed.Load())
			}
		}
	}
}

// TestSpecialRangesAreNotDialled goes through the whole table by each way.
func TestSpecialRangesAreNotDialled(t *testing.T) {
	t.Parallel()
	s := newSender(t, delivery.SenderConfig{Guard: delivery.NewGuard(nil)})
	names := map[string][]string{}
	for i, r := range specialRanges {
		names[fmt.Sprintf("first%d.test", i)], names[fmt.Sprintf("last%d.test", i)] = []string{r.first}, []string{r.last}
	}
	s.ResolveBy(serveDNS(t, names))
	for name, addresses := range names {
		for _, host := range []string{name, addresses[0]} {
			for way, call := range ways(host, 443) {
				if a := s.Do(within(t, time.Minute), call); !blocked(a.Err) || a.Status != 0 {
					t.Errorf("%s (%s) by %s: status %d, %v", host, addresses[0], way, a.Status, a.Err)
				}
			}
		}
	}
}

// TestNoProxyIsUsed has a process with every variable that names a proxy make calls: it asks none, for then the
// proxy would dial, and not past the guard.
func TestNoProxyIsUsed(t *testing.T) {
	t.Parallel()
	const child = "WEDSYNC_TEST_PROXIED"
	st, proxied := newStage(t), new(atomic.Int64)
	if os.Getenv(child) == "" {
		proxy := count(t, anywhere(t, publicAddress), proxied).String()
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNoProxyIsUsed$", "-test.v")
		cmd.Env = append(os.Environ(), child+"=1")
		for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "SMTP_PROXY", "MAIL_PROXY", "SOCKS_PROXY"} {
			cmd.Env = append(cmd.Env, name+"=http://"+proxy, strings.ToLower(name)+"=http://"+proxy)
		}
		cmd.Env = append(cmd.Env, "NO_PROXY=", "no_proxy=")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("%v: %s", err, out)
		}
		if n := proxied.Load(); n != 1 {
			t.Errorf("the proxy was asked %d times, want once: by a client that does use it", n)
		}
		return
	}
	s := st.sender(t, map[string][]string{"vendor.test": {publicAddress}, "internal.test": {"127.0.0.1"}})
	for way, call := range ways("vendor.test", st.port) {
		before := st.vendor.Load()
		if a := s.Do(within(t, time.Minute), call); blocked(a.Err) || st.vendor.Load() != before+1 {
			t.Errorf("%s: the vendor was not called itself: %v", way, a.Err)
		}
	}
	for way, call := range ways("internal.test", st.port) {
		if a := s.Do(within(t, time.Minute), call); !blocked(a.Err) || st.internal.Load() != 0 {
			t.Errorf("%s: %v", way, a.Err)
		}
	}
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://vendor.test/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := client.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Errorf("the proxy answers %d", resp.StatusCode)
	}
}
