package e2e_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/centrifugal/centrifuge-go"
)

// checkPresence connects a client of the Go SDK to each node, and fails unless each node comes to tell of all, and
// each client that was there before hears of the last one.
func checkPresence(ctx context.Context, t *testing.T, nodes ...*station) {
	t.Helper()
	const channel = "presence:here"
	var clients []*centrifuge.Client
	var subs []*centrifuge.Subscription
	joined := make(chan string, 100) // by the clients before the last one
	defer func() {
		for _, client := range clients {
			client.Close()
		}
	}()
	for i, s := range nodes {
		client := centrifuge.NewProtobufClient(s.node.WebSocketURL(), centrifuge.Config{})
		clients = append(clients, client)
		sub, err := client.NewSubscription(channel, centrifuge.SubscriptionConfig{JoinLeave: true})
		if err != nil {
			t.Fatal(err)
		}
		there := make(chan struct{}, 1)
		sub.OnSubscribed(func(centrifuge.SubscribedEvent) { there <- struct{}{} })
		if i < len(nodes)-1 {
			sub.OnJoin(func(e centrifuge.JoinEvent) { joined <- e.Client })
		}
		if err := sub.Subscribe(); err != nil {
			t.Fatal(err)
		}
		if err := client.Connect(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-there:
		case <-ctx.Done():
			t.Fatalf("%s: nobody can subscribe: %v", s.cfg.Addr, ctx.Err())
		}
		subs = append(subs, sub)
	}
	for i, sub := range subs {
		until(ctx, t, "presence as "+nodes[i].cfg.Addr+" tells it", func(ctx context.Context) (bool, string) {
			stats, err := sub.PresenceStats(ctx)
			return err == nil && stats.NumClients == len(nodes) && stats.NumUsers == 1, fmt.Sprintf("%+v, %v", stats, err)
		})
	}
	all, err := subs[len(subs)-1].Presence(ctx)
	if err != nil || len(all.Clients) != len(clients) {
		t.Fatalf("presence %+v, %v", all, err)
	}
	told := map[string]int{}
	for len(told) < len(clients) || len(nodes) > 1 && most(told) < len(nodes)-1 {
		select {
		case id := <-joined:
			told[id]++
		case <-ctx.Done():
			t.Fatalf("the clients heard of %v only", told)
		}
	}
	for id := range told {
		if _, ok := all.Clients[id]; !ok {
			t.Errorf("told of %s, who is not there", id)
		}
	}
}

// most returns how many were told of the client of which most were: of the last one, all that came before it.
func most(told map[string]int) (n int) {
	for _, times := range told {
		n = max(n, times)
	}
	return n
}
