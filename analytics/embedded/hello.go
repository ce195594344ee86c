package embedded

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The packets of the native protocol that pass the gate before a connection is let through; see
// ClickHouse's Core/Protocol.h.
const (
	clientHello     = 0
	serverException = 2
)

// What of a hello is read at most; a client's are some 60 bytes.
const maxHelloText = 4 << 10

var errNoHello = errors.New("not a hello of the native protocol")

// hello is how a client of the native protocol begins.
type hello struct {
	database, user, password string
	raw                      []byte // as it came
}

// readHello reads no more from r than the hello.
func readHello(r *bufio.Reader) (hello, error) {
	var h hello
	in := &recording{r: r}
	packet, err := binary.ReadUvarint(in)
	if err != nil {
		return h, err
	}
	if packet != clientHello {
		return h, errNoHello
	}
	if _, err := in.text(); err != nil { // the client's name
		return h, err
	}
	for range 3 { // its version and the protocol's
		if _, err := binary.ReadUvarint(in); err != nil {
			return h, err
		}
	}
	for _, text := range []*string{&h.database, &h.user, &h.password} {
		if *text, err = in.text(); err != nil {
			return h, err
		}
	}
	h.raw = in.read
	return h, nil
}

// recording keeps what was read.
type recording struct {
	r    *bufio.Reader
	read []byte
}

// ReadByte implements io.ByteReader.
func (r *recording) ReadByte() (byte, error) {
	b, err := r.r.ReadByte()
	if err == nil {
		r.read = append(r.read, b)
	}
	return b, err
}

func (r *recording) text() (string, error) {
	size, err := binary.ReadUvarint(r)
	if err != nil {
		return "", err
	}
	if size > maxHelloText {
		return "", fmt.Errorf("%w: a text of %d bytes", errNoHello, size)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(r.r, text); err != nil {
		return "", err
	}
	r.read = append(r.read, text...)
	return string(text), nil
}

// refusal is a server's answer to a hello that it does not accept.
type refusal struct {
	code int32 // of ClickHouse's ErrorCodes.cpp
	text string
}

func (r refusal) packet() []byte {
	p := []byte{serverException}
	p = binary.LittleEndian.AppendUint32(p, uint32(r.code))
	for _, text := range []string{"DB::Exception", "DB::Exception: " + r.text, ""} { // name, message, stack trace
		p = binary.AppendUvarint(p, uint64(len(text)))
		p = append(p, text...)
	}
	return append(p, 0) // no nested one
}
