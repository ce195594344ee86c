package peers_test

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// What another node sends and this one cannot read ends its connection at the most. protoactor panics over a
// name or a number that it does not know.
func (n near) unreadable() {
	b := n.start("b")
	const bytesValue = "google.protobuf.BytesValue"
	for name, c := range map[string]struct {
		kind string
		data []byte
		ends bool
		from int32 // which of the senders, of one
	}{
		"a message of an unknown type": {kind: "wedsync.Later", ends: true},
		"a sender that is not there":   {kind: bytesValue, from: 7, ends: true},
		"a request that is no JSON":    {kind: bytesValue, data: []byte("{"), from: 1},
		"a request of a later version": {kind: bytesValue, data: []byte(`{"v":2,"id":1,"kind":"echo","left":1000000000}`), from: 1},
		"a request of nobody":          {kind: bytesValue, data: []byte(`{"v":1,"id":1,"kind":"echo","left":1000000000}`)},
	} {
		data, err := proto.Marshal(wrapperspb.Bytes(c.data))
		if err != nil {
			n.t.Fatal(err)
		}
		here := actor.NewPID(n.Addr(), "requests")
		err = n.send(&remote.MessageBatch{
			TypeNames: []string{c.kind}, Targets: []*actor.PID{here}, Senders: []*actor.PID{here},
			Envelopes: []*remote.MessageEnvelope{{MessageData: data, Sender: c.from}},
		})
		if ended := !errors.Is(err, io.EOF); ended != c.ends {
			n.t.Errorf("%s: the connection ends with %v", name, err)
		}
		if got := b.asks(n.Addr()); got != "b:hi|<nil>" {
			n.t.Errorf("%s: another node is answered %s", name, got)
		}
	}
}

// send sends this node what a node would, and returns what the connection ends with: io.EOF when all was taken.
func (n near) send(batch *remote.MessageBatch) error {
	n.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+n.Addr(), grpc.WithTransportCredentials(credentials.NewTLS(config("x", n.key, nil).TLS)))
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(n.t.Context(), 15*time.Second)
	defer cancel()
	stream, err := remote.NewRemotingClient(conn).Receive(ctx)
	if err != nil {
		n.t.Fatal(err)
	}
	if err := stream.Send(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_MessageBatch{MessageBatch: batch}}); err != nil {
		n.t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		n.t.Fatal(err)
	}
	_, err = stream.Recv()
	return err
}
