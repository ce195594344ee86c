package natstest

import (
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startWithin bounds the start of a server.
const startWithin = 30 * time.Second

// Server is a NATS server with JetStream, in a directory and at a port that it keeps. It is used from one
// goroutine.
type Server struct {
	Options server.Options // of the next Start

	tb  testing.TB
	srv *server.Server
}

// Serve starts a server, which ends with the test.
func Serve(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{tb: tb, Options: server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true, StoreDir: tb.TempDir(),
		JetStreamMaxStore: 1 << 40, // else it follows from what is free on the disk, and a log that is promised more is refused
	}}
	s.Start()
	addr, ok := s.srv.Addr().(*net.TCPAddr)
	if !ok {
		tb.Fatalf("the server listens on %v", s.srv.Addr())
	}
	s.Options.Port = addr.Port // the same one after a restart
	tb.Cleanup(s.Stop)
	return s
}

// Start starts the server again.
func (s *Server) Start() {
	s.tb.Helper()
	opts := s.Options
	srv, err := server.NewServer(&opts)
	if err != nil {
		s.tb.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(startWithin) {
		s.tb.Fatal("the NATS server does not start")
	}
	s.srv = srv
}

// Stop stops the server. It may be called twice.
func (s *Server) Stop() {
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
}

// Feeds returns what the direct consumers of a stream read, which the API of JetStream does not tell: subjects by
// consumer.
func (s *Server) Feeds(stream string) map[string]string {
	s.tb.Helper()
	return Feeds(s.tb, s.srv, stream)
}

// Feeds is Server.Feeds of any server.
func Feeds(tb testing.TB, srv *server.Server, stream string) map[string]string {
	tb.Helper()
	account, err := srv.JszAccount(&server.JSzOptions{Account: "$G", Streams: true, Consumer: true, DirectConsumer: true, Config: true})
	if err != nil {
		tb.Fatal(err)
	}
	feeds := map[string]string{}
	for _, s := range account.Streams {
		for _, c := range s.DirectConsumer {
			if s.Name == stream {
				feeds[c.Name] = c.Config.FilterSubject
			}
		}
	}
	return feeds
}

// URL is where clients connect.
func (s *Server) URL() string { return s.srv.ClientURL() }

// Addr is its host and port.
func (s *Server) Addr() string { return s.srv.Addr().String() }
