package ws

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/centrifugal/protocol"

	"github.com/wedsync/wedsync/cluster/journal"
)

// wire is the way in which a client's frames are written. A frame is one reply or push with what tells it
// from its neighbours, so that frames that wait for a client can be joined by putting them together.
type wire uint8

const (
	// JSON replies, each with a newline before it, which the first of a message is sent without.
	wireJSON wire = iota
	// Protobuf replies, each with its length before it.
	wireProtobuf
	// JSON pushes, each with a newline before it, for clients that only listen.
	wirePush
	// Server-sent events of such pushes, publications with an id, for clients of one channel.
	wireSSE
	wires // how many there are
)

// String returns the protocol's name.
func (w wire) String() string {
	if w == wireProtobuf {
		return "protobuf"
	}
	return "json"
}

// twoWay reports whether the client can send commands.
func (w wire) twoWay() bool { return w < wirePush }

// ping is an empty reply: the server's ping.
func (w wire) ping() []byte { return w.encode(&protocol.Reply{}) }

func (w wire) encode(r *protocol.Reply) []byte {
	if !w.twoWay() {
		return w.encodePush(r)
	}
	if w == wireProtobuf {
		size := r.SizeCF()
		b := binary.AppendUvarint(make([]byte, 0, size+binary.MaxVarintLen32), uint64(size))
		_, _ = r.MarshalToSizedBufferCF(b[len(b) : len(b)+size]) // which is as large as it takes
		return b[:len(b)+size]
	}
	return r.AppendJSON([]byte{'\n'})
}

// encodePush writes what goes to clients that only listen: no answers, but the one to the connect command, which
// they did not send as one.
func (w wire) encodePush(r *protocol.Reply) []byte {
	p := r.Push
	if p == nil {
		p = &protocol.Push{}
	}
	if c := r.Connect; c != nil {
		p.Connect = &protocol.Connect{
			Client: c.Client, Version: c.Version, Subs: c.Subs, Expires: c.Expires, Ttl: c.Ttl, Ping: c.Ping,
		}
	}
	if w == wirePush {
		return p.AppendJSON([]byte{'\n'})
	}
	b := []byte("data: ")
	for _, sub := range p.GetConnect().GetSubs() { // there is one
		at := sub.Offset
		for _, missed := range sub.Publications {
			at = missed.Offset
		}
		b = append(positionLine(at, sub.Epoch), b...)
	}
	return append(p.AppendJSON(b), "\n\n"...)
}

// positionLine has a browser come back with where it was.
func positionLine(offset uint64, epoch string) []byte {
	return fmt.Appendf(nil, "id: %d:%s\n", offset, epoch)
}

// frames is a push that goes to many clients, encoded once for each wire that one of them has. It is not
// safe for concurrent use; nil has nothing to send.
type frames struct {
	push  *protocol.Push
	epoch string // of a publication
	of    [wires][]byte
}

// on returns the frame for a wire, nil if there is none.
func (f *frames) on(w wire) []byte {
	if f == nil {
		return nil
	}
	if f.of[w] == nil {
		f.of[w] = w.encode(&protocol.Reply{Push: f.push})
		if w == wireSSE && f.push.Pub != nil {
			f.of[w] = append(positionLine(f.push.Pub.Offset, f.epoch), f.of[w]...)
		}
	}
	return f.of[w]
}

// framesOf returns what carries an entry to the subscribers of name, or nil where the entry is not JSON:
// written by somebody else, it would break every client's parser.
func framesOf(name, epoch string, e journal.Entry) *frames {
	if !json.Valid(e.Data) {
		return nil
	}
	return &frames{push: &protocol.Push{Channel: name, Pub: publicationOf(name, e)}, epoch: epoch}
}

// publicationOf returns the entry as subscribers of name get it. Where name is a pattern, it says
// which channel the entry is of.
func publicationOf(name string, e journal.Entry) *protocol.Publication {
	p := &protocol.Publication{Data: e.Data, Offset: e.Seq}
	if e.Channel != name {
		p.Channel = e.Channel
	}
	return p
}

// publicationsOf passes over entries that are not JSON.
func publicationsOf(channel string, entries []journal.Entry) []*protocol.Publication {
	out := make([]*protocol.Publication, 0, len(entries))
	for _, e := range entries {
		if json.Valid(e.Data) {
			out = append(out, publicationOf(channel, e))
		}
	}
	return out
}

var errNotUTF8 = errors.New("the message is not valid UTF-8")

// each decodes a message: commands, JSON ones one a line. It stops at the first that is not one, or
// where do returns false. A JSON command's strings point into data.
func (w wire) each(data []byte, do func(*protocol.Command) bool) error {
	var d protocol.CommandDecoder = protocol.NewProtobufCommandDecoder(data)
	if w == wireJSON {
		if !utf8.Valid(data) {
			return errNotUTF8
		}
		d = protocol.NewJSONCommandDecoder(data)
	}
	for {
		cmd, err := d.Decode()
		end := errors.Is(err, io.EOF) // which comes with the last command
		if err != nil && !end {
			return err
		}
		if cmd == nil {
			return io.ErrUnexpectedEOF
		}
		if !do(cmd) || end {
			return nil
		}
	}
}
