package kafkatest

import (
	"context"
	"crypto/sha256"
	_ "embed" // the pom
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

//go:embed pom.xml
var pom []byte

const howToInstall = "a Java runtime (17 or later) and Maven are needed; on Debian: apt-get install -y openjdk-17-jre-headless maven"

// fetchTimeout bounds the first fetch, about 40 MB.
const fetchTimeout = 8 * time.Minute

// classPath returns the broker's jars, fetching them when they are not in
// Maven's local repository.
func classPath(t testing.TB) string {
	t.Helper()
	for _, tool := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is not installed: %s", tool, howToInstall)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(pom)
	dir := filepath.Join(cache, "usher-kafkatest", hex.EncodeToString(sum[:8]))
	if path, ok := cached(dir); ok {
		return path
	}
	path, err := fetch(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// cached returns the class path of an earlier run whose jars are still there.
func cached(dir string) (string, bool) {
	text, err := os.ReadFile(filepath.Join(dir, "classpath")) //nolint:gosec // our own file
	if err != nil {
		return "", false
	}
	path := strings.TrimSpace(string(text))
	for jar := range strings.SplitSeq(path, string(os.PathListSeparator)) {
		if _, err := os.Stat(jar); err != nil {
			return "", false
		}
	}
	return path, path != ""
}

func fetch(ctx context.Context, dir string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("create %q: %w", dir, err)
	}
	// A folder of its own: test binaries may fetch at the same time.
	work, err := os.MkdirTemp(dir, "fetch")
	if err != nil {
		return "", fmt.Errorf("create a folder in %q: %w", dir, err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	file := filepath.Join(work, "classpath")
	if err := os.WriteFile(filepath.Join(work, "pom.xml"), pom, 0o600); err != nil {
		return "", fmt.Errorf("write the pom: %w", err)
	}
	// Offline first: with a filled local repository no network is asked.
	var failures []error
	for _, mode := range []string{"--offline", "--no-snapshot-updates"} {
		cmd := exec.CommandContext(ctx, "mvn", "-B", "-q", mode, "dependency:build-classpath", "-Dmdep.outputFile="+file) //nolint:gosec // fixed words
		cmd.Dir = work
		out, err := cmd.CombinedOutput()
		if err == nil {
			failures = nil
			break
		}
		failures = append(failures, fmt.Errorf("mvn %s: %w\n%s", mode, err, out))
	}
	if failures != nil {
		return "", fmt.Errorf("fetch the broker's jars: %w", errors.Join(failures...))
	}
	if err := os.Rename(file, filepath.Join(dir, "classpath")); err != nil {
		return "", fmt.Errorf("keep the class path: %w", err)
	}
	path, ok := cached(dir)
	if !ok {
		return "", fmt.Errorf("maven named jars in %q that are not there", dir)
	}
	return path, nil
}
