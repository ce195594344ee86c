package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/ingest"
)

// An event for everybody on a channel: checked, cleaned, and durable when Publish returns.
func ExampleIngest_Publish() {
	ctx := context.Background()
	dir := must(os.MkdirTemp("", "wedsync"))
	defer os.RemoveAll(dir)
	log := must(journal.Open(ctx, journal.Config{Dir: dir, Shards: 1}))
	defer log.Close(ctx)
	seen := make(chan journal.Entry, 1)
	stop := must(log.Live("couple:updates:*", func(e journal.Entry) { seen <- e }))
	defer stop()

	in := must(ingest.New(ingest.Config{Log: log}))
	draft := ingest.Draft{
		Channel: "couple:updates:c1", Type: "capacity.changed", ID: "evt-1", Source: "system",
		Payload: json.RawMessage(`{"capacity":110,"reason":"<b>Fire</b> inspection"}`),
	}
	must(in.Publish(ctx, draft))
	var ev struct{ Payload json.RawMessage }
	if err := json.Unmarshal((<-seen).Data, &ev); err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", ev.Payload)
	fmt.Println("a duplicate:", must(in.Publish(ctx, draft)).Duplicate)

	draft.Channel = "couple:updates:*"
	_, err := in.Publish(ctx, draft)
	var refused *ingest.Reject
	fmt.Println(errors.As(err, &refused), refused.Code)
	// Output:
	// {"capacity":110,"reason":"Fire inspection"}
	// a duplicate: true
	// true channel_wildcard
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
