package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/analytics"
)

func TestAnalyticsMigrate(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	status := func() (s analytics.SchemaStatus) {
		t.Helper()
		got := wedsync(t, "analytics", "status", "--json", "--data", data)
		if err := json.Unmarshal([]byte(got.out), &s); err != nil || got.code != exitOK {
			t.Fatalf("%+v, %v", got, err)
		}
		return s
	}
	if s := status(); s.Version != 0 || len(s.Pending) != s.Latest || s.Latest < 4 || len(s.Tables) != 0 || !strings.HasPrefix(s.Server, "26.") {
		t.Errorf("before it there is %+v", s)
	}
	for range 2 {
		if got := wedsync(t, "analytics", "migrate", "--data", data); got.code != exitOK || !strings.Contains(got.out, "is at version") {
			t.Fatalf("%+v", got)
		}
	}
	s := status()
	if s.Version != s.Latest || len(s.Pending) != 0 || len(s.Tables) < 8 {
		t.Errorf("after it there is %+v", s)
	}
	if got := wedsync(t, "analytics", "status", "--data", data); got.code != exitOK || !strings.Contains(got.out, "\nslo_minutes ") || strings.Contains(got.out, "to be applied") {
		t.Errorf("%+v", got)
	}
	if got := wedsync(t, "analytics", "status", "--data", data, "--clickhouse=off"); got.code != exitUsage || !strings.Contains(got.errors, "name a ClickHouse") {
		t.Errorf("without one: %+v", got)
	}
	if got := wedsync(t, "analytics", "migrate", "--data", data, "--clickhouse=clickhouse://127.0.0.1:1/x"); got.code != exitFailed || got.errors == "" {
		t.Errorf("without a server: %+v", got)
	}
	if got := wedsync(t, "analytics", "status", "--data", data, "--clickhouse=clickhouse://127.0.0.1:1/x", "--set=clickhouse.cluster=a'b"); got.code != exitUsage || !strings.Contains(got.errors, "clickhouse.cluster") {
		t.Errorf("on a cluster of a strange name: %+v", got)
	}
	if got := wedsync(t, "analytics", "status", "--data", data, "--set=clickhouse.cluster=main"); got.code != exitUsage || !strings.Contains(got.errors, "clickhouse.cluster") {
		t.Errorf("a cluster without an address: %+v", got)
	}
}
