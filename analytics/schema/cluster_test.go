package schema_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/analytics/schema"
)

// Every table of every file is replicated, and every statement is for all servers, once.
func TestOnCluster(t *testing.T) {
	t.Parallel()
	steps, err := schema.Steps()
	if err != nil {
		t.Fatal(err)
	}
	engine := regexp.MustCompile(`ENGINE = (\w+)`)
	replicated := 0
	for _, step := range steps {
		for _, statement := range step.Statements {
			got := schema.OnCluster(statement, "main")
			if strings.Count(got, " ON CLUSTER 'main'") != 1 {
				t.Errorf("%s: not for all servers:\n%s", step.Name, got)
			}
			if found := engine.FindStringSubmatch(got); len(found) == 2 && found[1] != "Null" {
				replicated++
				if found[1] != "ReplicatedMergeTree" && found[1] != "ReplicatedAggregatingMergeTree" {
					t.Errorf("%s: the engine is %s:\n%s", step.Name, found[1], got)
				}
			}
			if strings.Contains(got, "non_replicated") {
				t.Errorf("%s: a setting of tables that are not replicated:\n%s", step.Name, got)
			}
			if statement == got {
				t.Errorf("%s: nothing was changed", step.Name)
			}
		}
	}
	if replicated < 7 {
		t.Errorf("%d tables", replicated)
	}
	for statement, want := range map[string]string{
		"CREATE DATABASE IF NOT EXISTS wedsync":                     "CREATE DATABASE IF NOT EXISTS wedsync ON CLUSTER 'c'",
		"-- ENGINE\nCREATE TABLE lock (x UInt8) ENGINE = Memory":    "-- ENGINE\nCREATE TABLE lock ON CLUSTER 'c' (x UInt8) ENGINE = Memory",
		"DROP TABLE IF EXISTS lock":                                 "DROP TABLE IF EXISTS lock ON CLUSTER 'c'",
		"ALTER TABLE a UPDATE x = 'ENGINE' WHERE 1":                 "ALTER TABLE a ON CLUSTER 'c' UPDATE x = 'ENGINE' WHERE 1",
		"INSERT INTO schema_versions (version, name) VALUES (1, 2)": "INSERT INTO schema_versions (version, name) VALUES (1, 2)",
	} {
		if got := schema.OnCluster(statement, "c"); got != want {
			t.Errorf("%q became %q", statement, got)
		}
	}
}
