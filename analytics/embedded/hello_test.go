package embedded_test

import (
	"testing"

	"github.com/wedsync/wedsync/analytics/embedded"
)

const aHello = "\x00\x06client\x01\x02\x83\xa8\x03\x07wedsync\x04user\x03pwd"

func TestReadHello(t *testing.T) {
	t.Parallel()
	database, user, password, n, err := embedded.ReadHello([]byte(aHello + "more"))
	if err != nil || database != "wedsync" || user != "user" || password != "pwd" || n != len(aHello) {
		t.Errorf("%q %q %q, %d bytes, %v", database, user, password, n, err)
	}
	for n := range len(aHello) {
		if _, _, _, _, err := embedded.ReadHello([]byte(aHello[:n])); err == nil {
			t.Errorf("%d bytes are enough for a hello", n)
		}
	}
}

func FuzzReadHello(f *testing.F) {
	f.Add([]byte(aHello))
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		database, user, password, n, err := embedded.ReadHello(data)
		if err == nil && (n > len(data) || len(database)+len(user)+len(password) > n) {
			t.Errorf("%q %q %q of %d bytes from %d", database, user, password, n, len(data))
		}
	})
}
