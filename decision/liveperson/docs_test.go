package liveperson_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/usherhq/usher/decision/policy/foreign"
	"github.com/usherhq/usher/decision/policystore"
)

// TestThePageOnMovingRuns: the calls of docs/liveperson.md run as they stand
// there, in one shell, and answer what is printed; "*" stands for any value, and
// objects may hold more.
func TestThePageOnMovingRuns(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "liveperson.md"))
	must(t, err)
	f := start(t)
	const mark = "-----8<-----"
	script := "set -euo pipefail\n"
	var wants []string
	for _, b := range regexp.MustCompile("(?ms)^```(sh|json|json policy)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		switch b[1] {
		case "json policy":
			f.imported(t, b[2])
		case "sh":
			script += b[2] + "\necho; echo '" + mark + "'\n"
			wants = append(wants, "")
		default:
			wants[len(wants)-1] = b[2]
		}
	}
	if len(wants) < 4 {
		t.Fatalf("the page has %d examples, want them all", len(wants))
	}
	shell := exec.CommandContext(t.Context(), "bash", "-c", script)
	shell.Dir = t.TempDir()
	shell.Env = append(os.Environ(), "LP_HOST="+f.url, "LP_KEY="+f.key, "LP_ACCOUNT=acme")
	var stderr strings.Builder
	shell.Stderr = &stderr
	out, err := shell.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, stderr.String())
	}
	for i, answer := range strings.Split(string(out), mark)[:len(wants)] {
		if wants[i] == "" {
			continue
		}
		var want, got any
		must(t, json.Unmarshal([]byte(wants[i]), &want))
		if err := json.Unmarshal([]byte(answer), &got); err != nil {
			t.Errorf("example %d answers no JSON: %s", i, answer)
		} else if missing := lacks(got, want, "answer"); missing != "" {
			t.Errorf("example %d: %s\nin %s", i, missing, answer)
		}
	}
}

// imported brings a document of LivePerson in as the command line does.
func (f *fixture) imported(t *testing.T, document string) {
	t.Helper()
	read, err := foreign.Read(foreign.FormatLivePerson, []byte(document))
	must(t, err)
	if len(read.Policies) == 0 {
		t.Fatalf("nothing is read: %v", read.Problems)
	}
	for _, p := range read.Policies {
		_, err := f.policies.Create(t.Context(), "acme", p, policystore.Change{Author: "test"})
		must(t, err)
	}
}

// lacks says where got does not hold what want prints, "" when it does.
func lacks(got, want any, path string) string {
	switch want := want.(type) {
	case map[string]any:
		object, _ := got.(map[string]any)
		for k, v := range want {
			if missing := lacks(object[k], v, path+"."+k); missing != "" {
				return missing
			}
		}
		return ""
	case []any:
		list, _ := got.([]any)
		for i, v := range want {
			if i >= len(list) {
				return fmt.Sprintf("%s[%d] is missing", path, i)
			}
			if missing := lacks(list[i], v, fmt.Sprintf("%s[%d]", path, i)); missing != "" {
				return missing
			}
		}
		return ""
	}
	if (want == "*" && got != nil && got != "") || fmt.Sprint(got) == fmt.Sprint(want) {
		return ""
	}
	return fmt.Sprintf("%s is %v, the page says %v", path, got, want)
}
