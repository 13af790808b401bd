// Package compose loads the compose file as Compose v2 does. That docker-compose
// 1.29 reads it too is shown where it runs: internal/containertest.
package compose

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

func load(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"../../compose.yaml"}, cli.WithName("sidestream"))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestCompose_both_programs_are_hardened_and_one_user(t *testing.T) {
	project := load(t)
	for _, name := range []string{"writer", "replicator"} {
		s := project.Services[name]
		if s.User != "65532:65532" || !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
			t.Errorf("%s: user %s, read-only %v, dropped %v, options %v", name, s.User, s.ReadOnly, s.CapDrop, s.SecurityOpt)
		}
		if s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) <= 20*time.Second {
			t.Errorf("%s has %v to stop", name, s.StopGracePeriod)
		}
		if !slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool {
			return v.Type == types.VolumeTypeVolume && v.Source == "data" && v.Target == "/data" && !v.ReadOnly
		}) {
			t.Errorf("%s does not have the volume at /data", name)
		}
	}
}

func TestCompose_stops_the_writer_first_and_the_crm_last(t *testing.T) {
	project := load(t)
	for after, before := range map[string]string{"writer": "replicator", "replicator": "mariadb"} {
		if _, ok := project.Services[after].DependsOn[before]; !ok {
			t.Errorf("%s is not started after %s", after, before)
		}
	}
	if len(project.Services["mariadb"].DependsOn) > 0 {
		t.Error("the CRM waits for something")
	}
}

// The images of writer and replicator bring their health checks along.
func TestCompose_every_service_has_a_health_check(t *testing.T) {
	dockerfile, err := os.ReadFile("../../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range load(t).Services {
		inImage := s.Build != nil && strings.Contains(string(dockerfile), `CMD ["/usr/local/bin/`+s.Build.Target+`", "healthcheck"]`)
		if inImage == (s.HealthCheck != nil) {
			t.Errorf("%s has a health check in the image: %v, in the file: %v", name, inImage, s.HealthCheck != nil)
		}
	}
}

func TestCompose_ports_are_on_this_host_only(t *testing.T) {
	for name, s := range load(t).Services {
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %d on %q", name, p.Target, p.HostIP)
			}
		}
	}
}

func TestCompose_secrets_are_files_and_all_are_used(t *testing.T) {
	project := load(t)
	used := map[string]bool{}
	for name, s := range project.Services {
		for _, secret := range s.Secrets {
			used[secret.Source] = true
			if project.Secrets[secret.Source].File == "" {
				t.Errorf("%s uses %s, which is no file", name, secret.Source)
			}
		}
	}
	for name := range project.Secrets {
		if !used[name] {
			t.Errorf("nobody uses %s", name)
		}
	}
}
