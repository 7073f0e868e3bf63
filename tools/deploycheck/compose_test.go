package deploycheck

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

const composeFile = "../../deploy/compose/compose.yaml"

var passwords = types.Mapping{
	"CLICKHOUSE_PASSWORD": "one", "CLICKHOUSE_READER_PASSWORD": "two", "GRAFANA_PASSWORD": "three", "REDIS_PASSWORD": "four",
}

// TestComposeLoads checks the file as docker compose config does, and a few rules
// of the house on top.
func TestComposeLoads(t *testing.T) {
	project, err := load(t, read(t, composeFile), passwords)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"clickhouse", "decide", "grafana", "ingest", "kafka", "migrate", "redis", "train"}
	if got := project.ServiceNames(); !slices.Equal(got, want) {
		t.Errorf("services %v, want %v", got, want)
	}
	for name, s := range project.Services {
		if _, tag, ok := strings.Cut(s.Image, ":"); !ok || tag == "latest" {
			t.Errorf("%s: image %q has no fixed version", name, s.Image)
		}
		if s.HealthCheck == nil && name != "migrate" {
			t.Errorf("%s has no health check", name)
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s on %q, not on loopback", name, p.Published, p.HostIP)
			}
		}
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			if _, err := os.Stat(v.Source); err != nil {
				t.Errorf("%s mounts what is not there: %v", name, err)
			}
		}
		if s.Build != nil {
			if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestComposeAsksForPasswords: without them it must not start with empty ones.
func TestComposeAsksForPasswords(t *testing.T) {
	for name := range passwords {
		some := types.Mapping{}
		for k, v := range passwords {
			if k != name {
				some[k] = v
			}
		}
		if _, err := load(t, read(t, composeFile), some); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("loaded without %s: %v", name, err)
		}
		if !strings.Contains(read(t, "../../deploy/compose/example.env"), name+"=") {
			t.Errorf("example.env does not name %s", name)
		}
	}
}

// TestComposeCheckBites: the loader refuses what docker compose refuses.
func TestComposeCheckBites(t *testing.T) {
	good := read(t, composeFile)
	for name, bad := range map[string]string{
		"unknown key":        strings.Replace(good, "    hostname: kafka", "    hostnam: kafka", 1),
		"undefined volume":   strings.Replace(good, "- decide:/var/lib/usher", "- decider:/var/lib/usher", 1),
		"unknown dependency": strings.Replace(good, "migrate: { condition: service_completed", "migrat: { condition: service_completed", 1),
		"unknown condition":  strings.Replace(good, "service_completed_successfully", "service_done", 1),
	} {
		if bad == good {
			t.Errorf("%s: the edit did not apply", name)
		}
		if _, err := load(t, bad, passwords); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestRolesAcceptTheirConfiguration runs each role's own command with its own
// environment, as --check.
func TestRolesAcceptTheirConfiguration(t *testing.T) {
	project, err := load(t, read(t, composeFile), passwords)
	if err != nil {
		t.Fatal(err)
	}
	roles := 0
	for name, s := range project.Services {
		if s.Build == nil {
			continue
		}
		roles++
		env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
		for k, v := range s.Environment {
			if v != nil {
				env = append(env, k+"="+*v)
			}
		}
		check(t, name, env, s.Command)
	}
	if roles != 4 {
		t.Errorf("%d roles run usher, want 4", roles)
	}
}

// TestDockerfile: the compiler is at least the one that go.mod asks for.
func TestDockerfile(t *testing.T) {
	docker := regexp.MustCompile(`(?m)^FROM golang:(\d+\.\d+)`).FindStringSubmatch(read(t, "../../deploy/compose/Dockerfile"))
	mod := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "../../go.mod"))
	if docker == nil || mod == nil || docker[1] != mod[1] {
		t.Errorf("Dockerfile builds with %v, go.mod asks for %v", docker, mod)
	}
}

// TestSystemdUnit: the command of the unit is one that the program knows, with
// the settings of the unit; systemd's own verifier agrees where it is installed.
func TestSystemdUnit(t *testing.T) {
	const unit = "../../deploy/systemd/usher.service"
	text := read(t, unit)
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	for _, line := range regexp.MustCompile(`(?m)^Environment=(.*)$`).FindAllStringSubmatch(text, -1) {
		env = append(env, strings.Fields(line[1])...)
	}
	start := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/usher (.*)$`).FindAllStringSubmatch(text, -1)
	if len(start) != 1 {
		t.Fatalf("found %d start commands, want 1", len(start))
	}
	check(t, "usher.service", env, strings.Fields(start[0][1]))

	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		return
	}
	// The verifier insists on the program at its place: give it ours.
	copied := filepath.Join(t.TempDir(), "usher.service")
	if err := os.WriteFile(copied, []byte(strings.ReplaceAll(text, "/usr/local/bin/usher", binary(t))), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool, "verify", "--man=no", copied).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
}

func check(t *testing.T, name string, env, args []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t), append(slices.Clone(args), "--check")...)
	cmd.Env = env
	cmd.Dir = t.TempDir()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: usher %s --check: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	cmd = exec.CommandContext(ctx, binary(t), append(slices.Clone(args), "--check")...)
	cmd.Env = append(slices.Clone(env), "USHER_STOP_AFTER=never")
	if err := cmd.Run(); err == nil {
		t.Errorf("%s: usher %s --check accepts a stop_after of never", name, strings.Join(args, " "))
	}
}

// binary is the program under test, absolute.
func binary(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(os.Getenv("PROGRAM"))
	if info, statErr := os.Stat(path); err != nil || statErr != nil || info.IsDir() {
		t.Fatalf("PROGRAM %q must name a built usher; make modtest sets it", os.Getenv("PROGRAM"))
	}
	return path
}

func load(t *testing.T, content string, env types.Mapping) (*types.Project, error) {
	t.Helper()
	dir, err := filepath.Abs(filepath.Dir(composeFile))
	if err != nil {
		t.Fatal(err)
	}
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  dir,
		Environment: maps.Clone(env), // the loader adds to it
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, "compose.yaml"), Content: []byte(content)}},
	})
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
