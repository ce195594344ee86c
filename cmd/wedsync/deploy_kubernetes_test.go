package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wedsync/wedsync/cluster"
)

// manifest has what the test looks at of each kind.
type manifest struct {
	Kind     string `yaml:"kind"`
	Metadata struct {
		Name string `yaml:"name"`
	} `yaml:"metadata"`
	Data map[string]string `yaml:"data"`
	Spec struct {
		Replicas    int       `yaml:"replicas"`
		ServiceName string    `yaml:"serviceName"`
		Management  string    `yaml:"podManagementPolicy"`
		Selector    yaml.Node `yaml:"selector"`
		ClusterIP   string    `yaml:"clusterIP"`
		NotReady    bool      `yaml:"publishNotReadyAddresses"`
		Unavailable int       `yaml:"maxUnavailable"`
		Ports       []struct {
			Port   string `yaml:"port"`
			Target string `yaml:"targetPort"`
		} `yaml:"ports"`
		Template struct {
			Metadata struct {
				Labels map[string]string `yaml:"labels"`
			} `yaml:"metadata"`
			Spec struct {
				Grace    int `yaml:"terminationGracePeriodSeconds"`
				Security struct {
					NonRoot bool   `yaml:"runAsNonRoot"`
					User    string `yaml:"runAsUser"`
				} `yaml:"securityContext"`
				Containers []container `yaml:"containers"`
			} `yaml:"spec"`
		} `yaml:"template"`
	} `yaml:"spec"`
}

type container struct {
	Args []string `yaml:"args"`
	Env  []struct {
		Name  string `yaml:"name"`
		Value string `yaml:"value"`
		From  struct {
			Field struct {
				Path string `yaml:"fieldPath"`
			} `yaml:"fieldRef"`
			Secret struct {
				Key string `yaml:"key"`
			} `yaml:"secretKeyRef"`
		} `yaml:"valueFrom"`
	} `yaml:"env"`
	Ports []struct {
		Name string `yaml:"name"`
		Port string `yaml:"containerPort"`
	} `yaml:"ports"`
	Startup   probe `yaml:"startupProbe"`
	Liveness  probe `yaml:"livenessProbe"`
	Readiness probe `yaml:"readinessProbe"`
	Lifecycle struct {
		PreStop struct {
			Exec struct {
				Command []string `yaml:"command"`
			} `yaml:"exec"`
		} `yaml:"preStop"`
	} `yaml:"lifecycle"`
	Security struct {
		ReadOnly bool `yaml:"readOnlyRootFilesystem"`
	} `yaml:"securityContext"`
	Mounts []mount `yaml:"volumeMounts"`
}

type mount struct {
	Name string `yaml:"name"`
	Path string `yaml:"mountPath"`
}

type probe struct {
	Get struct {
		Path string `yaml:"path"`
		Port string `yaml:"port"`
	} `yaml:"httpGet"`
	Period   int `yaml:"periodSeconds"`
	Failures int `yaml:"failureThreshold"`
}

// manifests are all that kustomization.yaml names, by kind and name; it must name all there are.
func manifests(t *testing.T) map[string]manifest {
	t.Helper()
	const folder = "deploy/kubernetes"
	listed := documents[struct {
		Resources []string `yaml:"resources"`
	}](t, folder+"/kustomization.yaml")[0].Resources
	there, err := filepath.Glob(filepath.Join("..", "..", folder, "*.yaml"))
	if err != nil || len(there) != len(listed)+1 {
		t.Errorf("kustomization.yaml lists %v; there are %v, %v", listed, there, err)
	}
	all := map[string]manifest{}
	for _, file := range listed {
		for _, m := range documents[manifest](t, folder+"/"+file) {
			all[m.Kind+" "+m.Metadata.Name] = m
		}
	}
	return all
}

// environOf is what Kubernetes sets for the container of the pod of that name.
func environOf(t *testing.T, c container, pod string) map[string]string {
	t.Helper()
	fields := map[string]string{"metadata.name": pod, "status.podIP": "10.1.2.3"}
	secrets := map[string]string{
		"cluster-key": cluster.GenerateKey().Reveal(), "clickhouse-dsn": "clickhouse://user:password@clickhouse:9000/wedsync",
	}
	environ := map[string]string{}
	for _, e := range c.Env {
		value := e.Value
		for name, v := range environ {
			value = strings.ReplaceAll(value, "$("+name+")", v)
		}
		value += fields[e.From.Field.Path] + secrets[e.From.Secret.Key]
		if value == "" || strings.Contains(value, "$(") {
			t.Errorf("%s has no value: %q", e.Name, value)
		}
		environ[e.Name] = value
	}
	return environ
}

// checkPod fails where what a workload says of its pods is not what a node needs.
func checkPod(t *testing.T, name string, m manifest, cfg Config) {
	t.Helper()
	pod := m.Spec.Template.Spec
	c := pod.Containers[0]
	ports := map[string]string{}
	for _, p := range c.Ports {
		ports[p.Name] = p.Port
	}
	want := map[string]string{"http": portOf(t, cfg.HTTP.Addr), "gossip": portOf(t, cfg.Cluster.Bind), "gossip-udp": portOf(t, cfg.Cluster.Bind)}
	if cfg.Cluster.roles().Has(cluster.Core) {
		for i, p := range []string{"log", "log-clients"} {
			addr, _ := portAfter(cfg.Cluster.Bind, i+1)
			want[p] = portOf(t, addr)
		}
	}
	if fmt.Sprint(ports) != fmt.Sprint(want) {
		t.Errorf("%s has the ports %v, a node listens on %v", name, ports, want)
	}
	for p, path := range map[probe]string{c.Startup: "/healthz", c.Liveness: "/healthz", c.Readiness: "/readyz"} {
		if p.Get.Path != path || p.Get.Port != "http" {
			t.Errorf("%s is probed at %+v", name, p.Get)
		}
	}
	if patience := time.Duration(c.Startup.Period*c.Startup.Failures) * time.Second; patience < 5*time.Minute {
		t.Errorf("%s is given up %v after its start; it may wait for others", name, patience)
	}
	pause, err := time.ParseDuration(c.Lifecycle.PreStop.Exec.Command[1] + "s")
	if err != nil || c.Lifecycle.PreStop.Exec.Command[0] != "sleep" {
		t.Errorf("%s: preStop is %v", name, c.Lifecycle.PreStop.Exec.Command)
	}
	stops(t, name, cfg, time.Duration(pod.Grace)*time.Second-pause)
	environ, user := image(t)
	written := slices.Contains(c.Mounts, mount{"data", environ["WEDSYNC_DATA"]})
	if !pod.Security.NonRoot || pod.Security.User != user || !c.Security.ReadOnly || !written {
		t.Errorf("%s runs as %s (the image's user is %s), root file system read only: %v, data mounted: %v", name, pod.Security.User, user, c.Security.ReadOnly, written)
	}
}

// selected reports whether a selector, of either form, selects pods with these labels.
func selected(t *testing.T, selector *yaml.Node, labels map[string]string) bool {
	t.Helper()
	var long struct {
		Match map[string]string `yaml:"matchLabels"`
	}
	if err := selector.Decode(&long); err != nil {
		t.Fatal(err)
	}
	if long.Match == nil {
		if err := selector.Decode(&long.Match); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range long.Match {
		if labels[name] != value {
			return false
		}
	}
	return len(long.Match) > 0
}

// The nodes of deploy/kubernetes have a configuration that is valid, and what Kubernetes is told of them is
// true: ports, paths, names, times.
func TestKubernetesNodes(t *testing.T) {
	t.Parallel()
	all := manifests(t)
	core, edge := all["StatefulSet wedsync-core"], all["Deployment wedsync-edge"]
	settings := filepath.Join(t.TempDir(), "wedsync.yaml")
	if err := os.WriteFile(settings, []byte(all["ConfigMap wedsync"].Data["wedsync.yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	var join []string
	for i := range core.Spec.Replicas {
		join = append(join, fmt.Sprintf("%s-%d.%s:7946", core.Metadata.Name, i, core.Spec.ServiceName))
	}
	for name, w := range map[string]struct {
		manifest
		roles    []string
		services []string
	}{
		"wedsync-core-0":              {core, []string{"core", "edge"}, []string{"Service wedsync-core", "PodDisruptionBudget wedsync-core"}},
		"wedsync-edge-7c9d6bb5-x2k4l": {edge, []string{"edge"}, []string{"Service wedsync", "PodDisruptionBudget wedsync-edge"}},
	} {
		c := w.Spec.Template.Spec.Containers[0]
		environ := environOf(t, c, name)
		if environ["WEDSYNC_CONFIG"] != "/etc/wedsync/wedsync.yaml" {
			t.Errorf("%s reads %s", name, environ["WEDSYNC_CONFIG"])
		}
		cfg := configured(t, name, settings, c.Args, environ)
		if cfg.Node.Name != name || !slices.Equal(cfg.Cluster.Join, join) || !slices.Equal(cfg.Cluster.Roles, w.roles) ||
			cfg.Cluster.Advertise != "10.1.2.3:7946" || cfg.ClickHouse.DSN == clickhouseAuto {
			t.Errorf("%s is configured as %+v, of %s; want it to join %v", name, cfg.Cluster, cfg.Node.Name, join)
		}
		checkPod(t, name, w.manifest, cfg)
		labels := w.Spec.Template.Metadata.Labels
		for _, by := range append(w.services, w.Kind+" "+w.Metadata.Name) {
			m := all[by]
			if !selected(t, &m.Spec.Selector, labels) {
				t.Errorf("%s does not select the pods of %s", by, w.Metadata.Name)
			}
		}
	}
	inner := all["Service "+core.Spec.ServiceName].Spec
	if inner.ClusterIP != "None" || !inner.NotReady || core.Spec.Management != "Parallel" {
		t.Error("core nodes cannot find each other before they are ready, or start one after the other")
	}
	if all["PodDisruptionBudget wedsync-core"].Spec.Unavailable != 1 {
		t.Error("more than one core node may be taken away at once")
	}
	for _, p := range all["Service wedsync"].Spec.Ports {
		if p.Target != "http" {
			t.Errorf("clients come to port %s", p.Target)
		}
	}
}
