package admin_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/edge/access"
)

func TestChannelsAreFoundAndRead(t *testing.T) {
	t.Parallel()
	n := start(t)
	for i := range 120 {
		n.publish(t, "supplier:dashboard:42", fmt.Sprintf(`{"n":"number %d."}`, i))
	}
	n.publish(t, "couple:updates:7", `{"evil":"<script>"}`)
	b := n.signedIn(t, adminKey)
	b.get("/admin/channels").shows(t, "supplier:dashboard:42", "couple:updates:7", ">120<")
	b.get("/admin/channels?q=supplier:").shows(t, "supplier:dashboard:42")
	b.get("/admin/channels?q=supplier:").hides(t, "couple:updates:7")
	b.get("/admin/channels?q=a:**:b").shows(t, `class="wrong"`)
	b.get("/admin/channels?q=nobody").shows(t, "There is no event on such a channel")

	newest := b.get("/admin/channel/supplier:dashboard:42")
	newest.shows(t, "number 119.", "number 70.", "?page=2", "0 connections of 0 users")
	newest.hides(t, "number 69.", "?page=0")
	oldest := b.get("/admin/channel/supplier:dashboard:42?page=3")
	oldest.shows(t, "number 0.", "number 19.", "?page=2")
	oldest.hides(t, "number 20.", "?page=4")
	b.get("/admin/channel/supplier:dashboard:42?page=99").shows(t, "number 0.", "Page 3")
	b.get("/admin/channel/couple:updates:7").hides(t, "<script>\"")
	if got := b.get("/admin/channel/a:*"); got.status != http.StatusUnprocessableEntity {
		t.Errorf("a pattern's page: %d", got.status)
	}
	if got := b.get("/admin/channel/supplier:dashboard:42/token"); got.status != http.StatusOK || strings.Count(got.body, ".") != 2 || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("the token: %d %v %q", got.status, got.header, got.body)
	}
}

func TestChannelsWithinReach(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.publish(t, "supplier:dashboard:42", `{}`)
	n.publish(t, "supplier:dashboard:43", `{}`)
	own := n.signedIn(t, n.key(t, access.Key{
		Name: "alice", Scopes: []access.Scope{access.ChannelsRead}, Owner: map[string]string{"supplierId": "42"}, Channels: []string{"supplier:dashboard:{supplierId}"},
	}))
	all := own.get("/admin/channels")
	all.shows(t, "supplier:dashboard:42")
	all.hides(t, "supplier:dashboard:43", "/admin/cluster", "/admin/slo")
	own.get("/admin/channel/supplier:dashboard:42").shows(t, "History")
	for _, path := range []string{"/admin/channel/supplier:dashboard:43", "/admin/channel/supplier:dashboard:43/token", "/admin/cluster", "/admin/slo", "/admin/deliveries"} {
		if got := own.get(path); got.status != http.StatusForbidden {
			t.Errorf("%s is answered %d", path, got.status)
		}
	}
}
