// Package kubernetes decodes the Kubernetes manifest as the API server does, and
// strictly. It is a module of its own, so that Kubernetes' types stay out of the
// programs'.
package kubernetes

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"

	"sidestream/internal/config"
)

// manifest is what the file holds, by kind.
type manifest struct {
	config   *core.ConfigMap
	secrets  map[string]*core.Secret
	service  *core.Service
	set      *apps.StatefulSet
	monitor  *monitoring.PodMonitor
	examined int
}

// read decodes every document; an unknown or doubled field is an error.
func read(t *testing.T) manifest {
	t.Helper()
	content, err := os.ReadFile("../../kubernetes/sidestream.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := decode(content)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func decode(content []byte) (manifest, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(core.AddToScheme(scheme), apps.AddToScheme(scheme), monitoring.AddToScheme(scheme)); err != nil {
		return manifest{}, err
	}
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	m := manifest{secrets: map[string]*core.Secret{}}
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return m, nil
		}
		if err != nil {
			return m, err
		}
		object, _, err := strict.Decode(document, nil, nil)
		if err != nil {
			return m, err
		}
		m.examined++
		switch o := object.(type) {
		case *core.ConfigMap:
			m.config = o
		case *core.Secret:
			m.secrets[o.Name] = o
		case *core.Service:
			m.service = o
		case *apps.StatefulSet:
			m.set = o
		case *monitoring.PodMonitor:
			m.monitor = o
		}
	}
}

func TestManifest_is_read_strictly(t *testing.T) {
	m := read(t)
	if m.config == nil || m.service == nil || m.set == nil || m.monitor == nil || len(m.secrets) != 2 || m.examined != 6 {
		t.Fatalf("the manifest holds %+v", m)
	}
	content, err := os.ReadFile("../../kubernetes/sidestream.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"fsgroup: 65532", "fsGroups: 65532", "fsGroup: 65532\n        fsGroup: 65532"} {
		if _, err := decode(bytes.Replace(content, []byte("fsGroup: 65532"), []byte(wrong), 1)); err == nil {
			t.Errorf("%q passes", wrong)
		}
	}
}

func TestManifest_replicator_is_a_native_sidecar(t *testing.T) {
	pod := read(t).set.Spec.Template.Spec
	if len(pod.InitContainers) != 1 || len(pod.Containers) != 1 {
		t.Fatalf("%d init containers and %d containers", len(pod.InitContainers), len(pod.Containers))
	}
	replicator := pod.InitContainers[0]
	if replicator.Name != "replicator" || replicator.RestartPolicy == nil || *replicator.RestartPolicy != core.ContainerRestartPolicyAlways {
		t.Errorf("%s is no sidecar", replicator.Name)
	}
	if grace := pod.TerminationGracePeriodSeconds; grace == nil || *grace < 40 {
		t.Errorf("the two have %v seconds to end one after the other", grace)
	}
}

func TestManifest_both_programs_are_one_user_on_one_volume(t *testing.T) {
	set := read(t).set
	pod := set.Spec.Template.Spec
	who := pod.SecurityContext
	if who == nil || who.RunAsUser == nil || who.FSGroup == nil || who.RunAsGroup == nil || *who.RunAsUser != 65532 || *who.FSGroup != *who.RunAsGroup {
		t.Errorf("the pod's user is %+v", who)
	}
	for _, c := range both(pod) {
		s := c.SecurityContext
		if s.RunAsUser != nil || s.RunAsGroup != nil {
			t.Errorf("%s has a user of its own", c.Name)
		}
		if s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
			!slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) {
			t.Errorf("%s is not hardened: %+v", c.Name, s)
		}
		if !slices.ContainsFunc(c.VolumeMounts, func(m core.VolumeMount) bool {
			return m.Name == "data" && m.MountPath == "/data" && m.SubPath == "" && !m.ReadOnly
		}) {
			t.Errorf("%s does not have the volume at /data", c.Name)
		}
		if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
			t.Errorf("%s has no limits", c.Name)
		}
	}
	claims := set.Spec.VolumeClaimTemplates
	if len(claims) != 1 || claims[0].Name != "data" || !slices.Equal(claims[0].Spec.AccessModes, []core.PersistentVolumeAccessMode{core.ReadWriteOnce}) {
		t.Errorf("the claims are %+v", claims)
	}
	if set.Spec.Replicas == nil || *set.Spec.Replicas != 1 {
		t.Error("SQLite has one writer, and the set has more")
	}
}

func both(pod core.PodSpec) []core.Container {
	return slices.Concat(pod.InitContainers, pod.Containers)
}

func TestManifest_names_meet(t *testing.T) {
	m := read(t)
	pod := m.set.Spec.Template.Spec
	ports := map[string]bool{}
	for _, c := range both(pod) {
		own := map[string]bool{}
		for _, p := range c.Ports {
			ports[p.Name], own[p.Name] = true, true
		}
		for kind, probe := range map[string]*core.Probe{"liveness": c.LivenessProbe, "readiness": c.ReadinessProbe} {
			if probe == nil || probe.HTTPGet == nil || !own[probe.HTTPGet.Port.StrVal] {
				t.Errorf("%s has no %s probe of its own port", c.Name, kind)
			}
		}
		for _, mount := range c.VolumeMounts {
			if mount.Name != "data" && !slices.ContainsFunc(pod.Volumes, func(v core.Volume) bool { return v.Name == mount.Name }) {
				t.Errorf("%s mounts %s, which is no volume", c.Name, mount.Name)
			}
		}
	}
	for _, endpoint := range m.monitor.Spec.PodMetricsEndpoints {
		if endpoint.Port == nil || !ports[*endpoint.Port] {
			t.Errorf("the monitor scrapes %v, which is no port", endpoint.Port)
		}
	}
	if target := m.service.Spec.Ports[0].TargetPort.StrVal; !ports[target] {
		t.Errorf("the service leads to %s, which is no port", target)
	}
	labels := m.set.Spec.Template.Labels
	for _, selector := range []map[string]string{m.service.Spec.Selector, m.set.Spec.Selector.MatchLabels, m.monitor.Spec.Selector.MatchLabels} {
		for key, value := range selector {
			if labels[key] != value {
				t.Errorf("%s=%s selects nothing", key, value)
			}
		}
	}
	for _, v := range pod.Volumes {
		if v.Secret != nil && m.secrets[v.Secret.SecretName] == nil || v.ConfigMap != nil && v.ConfigMap.Name != m.config.Name {
			t.Errorf("the volume %s is of nothing", v.Name)
		}
	}
}

// TestManifest_configuration_is_right loads it as the programs do, with the
// secrets' files where the mounts put them.
func TestManifest_configuration_is_right(t *testing.T) {
	m := read(t)
	dir := t.TempDir()
	text := strings.ReplaceAll(m.config.Data["config.toml"], "/etc/sidestream", dir)
	for name, secret := range m.secrets {
		place := filepath.Join(dir, strings.TrimPrefix(name, "sidestream-"))
		if err := os.Mkdir(place, 0o700); err != nil {
			t.Fatal(err)
		}
		for key, value := range secret.StringData {
			if !strings.Contains(text, filepath.Join(place, key)) {
				t.Errorf("nobody reads %s of %s", key, name)
			}
			if err := os.WriteFile(filepath.Join(place, key), []byte(value), 0o400); err != nil {
				t.Fatal(err)
			}
		}
	}
	file := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, program := range []config.Program{config.Writer, config.Replicator} {
		c, err := config.Load(config.Options{Path: file, Program: program})
		if err != nil {
			t.Fatalf("%v: %v", program, err)
		}
		if c.Database.Path != "/data/messages.db" {
			t.Errorf("the database is %s", c.Database.Path)
		}
	}
}
