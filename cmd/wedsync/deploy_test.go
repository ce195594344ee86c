package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// What the deployments set is what a node can be told, and what they name of it is there.
func TestDeploymentsFitTheNode(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for key := range configKeys() {
		known[envName(key)] = true
	}
	manifests, err := filepath.Glob("../../deploy/kubernetes/*.yaml")
	if err != nil || len(manifests) < 3 {
		t.Fatalf("manifests %q, %v", manifests, err)
	}
	for _, path := range append(manifests, "../../docker-compose.yml") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		set := 0
		for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
			var doc yaml.Node
			err := decoder.Decode(&doc)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			eachText(&doc, func(s string) {
				if strings.HasPrefix(s, "WEDSYNC_") {
					set++
					if !known[s] {
						t.Errorf("%s sets %s, which is no key of the configuration", path, s)
					}
				}
				if strings.HasPrefix(s, "/") && strings.HasSuffix(s, "z") && !slices.Contains([]string{"/healthz", "/readyz"}, s) {
					t.Errorf("%s asks %s, which no node answers", path, s)
				}
				if strings.HasSuffix(s, ".yaml") && strings.Contains(path, "kustomization") {
					if _, err := os.Stat(filepath.Join(filepath.Dir(path), s)); err != nil {
						t.Errorf("%s: %v", path, err)
					}
				}
			})
		}
		if workload := bytes.Contains(text, []byte("containers:")) || strings.Contains(path, "compose"); workload && set == 0 {
			t.Errorf("%s sets nothing", path)
		}
	}
}

// eachText calls fn with every key and text.
func eachText(n *yaml.Node, fn func(string)) {
	if n.Kind == yaml.ScalarNode {
		fn(n.Value)
	}
	for _, child := range n.Content {
		eachText(child, fn)
	}
}

// The nodes that the compose file and the manifests start have a configuration that is valid.
func TestDeployedConfigurationIsValid(t *testing.T) {
	t.Parallel()
	for name, env := range map[string][]string{
		"core": {
			"WEDSYNC_NODE_NAME=wedsync-0", "WEDSYNC_CLUSTER_BIND=0.0.0.0:7946", "WEDSYNC_CLUSTER_KEY=" + strings.Repeat("A", 43),
			"WEDSYNC_CLUSTER_JOIN=wedsync-0.wedsync-core:7946,wedsync-1.wedsync-core:7946,wedsync-2.wedsync-core:7946",
			"WEDSYNC_CLICKHOUSE_DSN=clickhouse://u:p@clickhouse:9000/wedsync", "WEDSYNC_SHUTDOWN=40s",
		},
		"edge": {
			"WEDSYNC_NODE_NAME=wedsync-edge-7d9f8-abcde", "WEDSYNC_CLUSTER_ROLES=edge", "WEDSYNC_CLUSTER_BIND=0.0.0.0:7946",
			"WEDSYNC_CLUSTER_KEY=" + strings.Repeat("A", 43), "WEDSYNC_CLUSTER_JOIN=node-1:7946,node-2:7946,node-3:7946",
		},
	} {
		if _, err := loadConfig("", env, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
