//go:build unix

package delivery_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
)

// BenchmarkSender calls a server that does next to nothing in the same process, with so many calls
// at once, a body of 512 bytes and the headers of a signed webhook. cpu-us/op is both sides' time.
func BenchmarkSender(b *testing.B) {
	url := serveCheaply(b)
	s := delivery.NewSender(delivery.SenderConfig{Guard: loopback()})
	defer s.Close()
	body := []byte(strings.Repeat("x", 512))
	for _, atOnce := range []int{1, 16, 100} {
		b.Run(fmt.Sprintf("%d at once", atOnce), func(b *testing.B) {
			b.ReportAllocs()
			before := cpu()
			left := make(chan struct{}, b.N)
			for range b.N {
				left <- struct{}{}
			}
			close(left)
			var wg sync.WaitGroup
			b.ResetTimer()
			for range atOnce {
				wg.Go(func() {
					for range left {
						a := s.Do(b.Context(), &event.Call{HTTP: &event.HTTPCall{
							Method: http.MethodPost, URL: url, Body: body,
							Header: http.Header{
								"Content-Type": {"application/json"}, "Webhook-Id": {"dlv_0123456789abcdef0123456789abcdef"},
								"Webhook-Timestamp": {"1781967600"}, "Webhook-Signature": {"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
							},
						}})
						if a.Status != 200 {
							b.Error(a.Status, a.Err)
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
			b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-us/op")
		})
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// serveCheaply answers 200 to every request that has a Content-Length.
func serveCheaply(b *testing.B) (url string) {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	serve := func(c net.Conn) {
		defer func() { _ = c.Close() }()
		r := bufio.NewReader(c)
		for {
			length := 0
			for {
				line, err := r.ReadSlice('\n')
				if err != nil {
					return
				}
				if len(line) == 2 {
					break
				}
				if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
					length, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
				}
			}
			if _, err := r.Discard(length); err != nil {
				return
			}
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil {
				return
			}
		}
	}
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { serve(c) })
		}
	})
	b.Cleanup(func() { _ = ln.Close() })
	return "http://" + ln.Addr().String()
}
