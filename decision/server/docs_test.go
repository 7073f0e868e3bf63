package server_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The examples of the documents run as they stand there, one after the other in
// one shell; where an answer follows, it must hold what is printed. "*" stands for
// any value, and objects and lists may hold more.
func TestDocumentedCalls(t *testing.T) {
	for file, least := range map[string]int{"api.md": 12, "context.md": 11, "attributes.md": 8, "explain.md": 4} {
		t.Run(file, func(t *testing.T) { runExamples(t, file, least) })
	}
}

func runExamples(t *testing.T, file string, least int) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", file))
	must(t, err)
	blocks := regexp.MustCompile("(?ms)^```(sh|json)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	f := start(t)
	const mark = "-----8<-----"
	script := "set -euo pipefail\n"
	var wants []string
	for _, b := range blocks {
		if b[1] == "sh" {
			script += b[2] + "\necho; echo '" + mark + "'\n"
			wants = append(wants, "")
		} else {
			wants[len(wants)-1] = b[2]
		}
	}
	if len(wants) < least {
		t.Fatalf("docs/%s has %d examples, want them all", file, len(wants))
	}
	shell := exec.CommandContext(t.Context(), "bash", "-c", script)
	shell.Dir = t.TempDir()
	shell.Env = append(os.Environ(), "USHER_URL="+f.url, "USHER_TOKEN="+f.admin)
	var stderr strings.Builder
	shell.Stderr = &stderr
	out, err := shell.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, stderr.String())
	}
	answers := strings.Split(string(out), mark)
	for i, want := range wants {
		if want == "" {
			continue
		}
		var expected, got any
		must(t, json.Unmarshal([]byte(want), &expected))
		if err := json.Unmarshal([]byte(answers[i]), &got); err != nil {
			t.Errorf("example %d answers no JSON: %s", i, answers[i])
			continue
		}
		if missing := lacks(got, expected, "answer"); missing != "" {
			t.Errorf("example %d: %s\nin %s", i, missing, answers[i])
		}
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
