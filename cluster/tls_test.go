package cluster_test

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/wedsync/wedsync/cluster"
)

// shake connects a client with a server and returns what each says of the other, or why it did not.
func shake(tb testing.TB, server, client *tls.Config) (atServer, atClient tls.ConnectionState, serverErr, clientErr error) {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	ctx, cancel := context.WithTimeout(tb.Context(), limit)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := ln.Accept()
		if err != nil {
			serverErr = err
			return
		}
		s := tls.Server(conn, server)
		defer func() { _ = s.Close() }()
		if serverErr = s.HandshakeContext(ctx); serverErr == nil {
			_, serverErr = s.Write([]byte{1})
		}
		atServer = s.ConnectionState()
	}()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	c := tls.Client(conn, client)
	defer func() { _ = c.Close() }()
	// In TLS 1.3 a client hears of its refusal when it reads.
	if clientErr = c.HandshakeContext(ctx); clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1))
	}
	atClient = c.ConnectionState()
	_ = c.Close()
	<-done
	return atServer, atClient, serverErr, clientErr
}

func shakes(tb testing.TB, server, client *tls.Config) bool {
	tb.Helper()
	_, _, serverErr, clientErr := shake(tb, server, client)
	if (serverErr == nil) != (clientErr == nil) {
		tb.Fatalf("the server says %v, the client %v", serverErr, clientErr)
	}
	return serverErr == nil
}

func TestNodesKnowEachOtherByTLS(t *testing.T) {
	t.Parallel()
	key := cluster.GenerateKey()
	server, client := ring(t, key).TLS("n1"), ring(t, key).TLS("n2")
	atServer, atClient, serverErr, clientErr := shake(t, server, client)
	if serverErr != nil || clientErr != nil {
		t.Fatalf("the server says %v, the client %v", serverErr, clientErr)
	}
	if nodeOf(atServer) != "n2" || nodeOf(atClient) != "n1" || atServer.Version != tls.VersionTLS13 {
		t.Errorf("the server sees %q, the client %q, by version %x", nodeOf(atServer), nodeOf(atClient), atServer.Version)
	}
	// The log's server gives the name that it dials, and has one configuration for both directions.
	named, both := client.Clone(), ring(t, key).TLS("n3")
	named.ServerName = "10.1.2.3"
	if !shakes(t, server, named) || !shakes(t, both, both.Clone()) {
		t.Error("a client that gives a server's name, or a server's own configuration, is refused")
	}
	// A node's clock does not count.
	for _, year := range []int{1970, 2200} {
		wrong := client.Clone()
		wrong.Time = func() time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
		if !shakes(t, server, wrong) {
			t.Errorf("in the year %d a client does not take the server's certificate", year)
		}
	}
}

func TestStrangersAreRefusedByTLS(t *testing.T) {
	t.Parallel()
	key := cluster.GenerateKey()
	node, other := ring(t, key).TLS("n1"), ring(t, cluster.GenerateKey()).TLS("n1")
	bare := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true} // #nosec G402 -- a stranger
	old := ring(t, key).TLS("n2")
	old.MinVersion, old.MaxVersion = 0, tls.VersionTLS12
	for name, pair := range map[string][2]*tls.Config{
		"a client of another key":       {node, other},
		"a server of another key":       {other, node},
		"a client with no certificate":  {node, bare},
		"a client of an older protocol": {node, old},
	} {
		if shakes(t, pair[0], pair[1]) {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestTLSFollowsTheRing(t *testing.T) {
	t.Parallel()
	a, b := cluster.GenerateKey(), cluster.GenerateKey()
	r1, r2 := ring(t, a), ring(t, a)
	n1, n2 := r1.TLS("n1"), r2.TLS("n2")
	both := func(when string, want bool) {
		t.Helper()
		if shakes(t, n1, n2) != want || shakes(t, n2, n1) != want {
			t.Fatalf("%s: n1 and n2 connect: %v", when, !want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	both("at first", true)
	must(r1.Add(b))
	both("n1 has the new key", true)
	must(r2.Add(b))
	must(r1.Use(b.ID()))
	both("n1 uses it", true)
	must(r2.Use(b.ID()))
	must(r1.Remove(a.ID()))
	both("n1 has it alone", true)
	must(r2.Remove(a.ID()))
	both("both have it alone", true)
	if shakes(t, n1, ring(t, a).TLS("n3")) || shakes(t, ring(t, a).TLS("n3"), n1) {
		t.Error("the removed key still opens")
	}
	must(r1.Add(a))
	must(r1.Use(a.ID()))
	both("n1 uses a key that n2 has not", false)
}

func TestCertificateIsMadeOnceAKey(t *testing.T) {
	t.Parallel()
	r := ring(t, cluster.GenerateKey())
	c := r.TLS("n1")
	first, err := c.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := c.GetClientCertificate(nil); again != first {
		t.Error("each handshake makes a certificate")
	}
	next := cluster.GenerateKey()
	if err := r.Add(next); err != nil {
		t.Fatal(err)
	}
	if same, _ := c.GetCertificate(nil); same != first {
		t.Error("adding a key makes a certificate")
	}
	if err := r.Use(next.ID()); err != nil {
		t.Fatal(err)
	}
	if other, _ := c.GetCertificate(nil); other == first {
		t.Error("using another key makes no certificate")
	}
}

// nodeOf is the name in the other side's certificate.
func nodeOf(s tls.ConnectionState) string {
	if len(s.PeerCertificates) == 0 {
		return ""
	}
	return s.PeerCertificates[0].Subject.CommonName
}
