package ws

import (
	"encoding/json"

	"github.com/centrifugal/protocol"

	"github.com/wedsync/wedsync/cluster/journal"
)

// encodeReply returns the frame of a reply, with the newline that outbox wants before it.
func encodeReply(r *protocol.Reply) []byte {
	return r.AppendJSON([]byte{'\n'})
}

// encodePublication returns the frame that carries an entry to the subscribers of name, or nil where
// the entry is not JSON: written by somebody else, it would break every client's parser.
func encodePublication(name string, e journal.Entry) []byte {
	if !json.Valid(e.Data) {
		return nil
	}
	r := protocol.Reply{Push: &protocol.Push{Channel: name, Pub: publicationOf(name, e)}}
	return r.AppendJSON(append(make([]byte, 0, len(e.Data)+len(name)+64), '\n'))
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
