package liveperson_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestScripts plays the cases of testdata, each on an installation of its own, in
// real HTTP.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	must(t, err)
	if len(files) < 2 {
		t.Fatal("the cases are not there")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		for i, part := range strings.Split("\n"+string(text), "\n== ") {
			if i == 0 {
				continue // what the file says of itself
			}
			name, lines, _ := strings.Cut(part, "\n")
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+name, func(t *testing.T) {
				f := start(t)
				for line := range strings.Lines(lines) {
					f.play(t, strings.TrimSpace(line))
				}
			})
		}
	}
}

// play does one line of a case.
func (f *fixture) play(t *testing.T, line string) {
	t.Helper()
	if line == "" || strings.HasPrefix(line, "#") {
		return
	}
	if by, ok := strings.CutPrefix(line, "clock "); ok {
		d, err := time.ParseDuration(by)
		must(t, err)
		f.ahead.Add(int64(d))
		return
	}
	asked, expected, ok := strings.Cut(line, " => ")
	if !ok {
		t.Fatalf("%q is no line of a case", line)
	}
	method, rest, _ := strings.Cut(asked, " ")
	path, body, _ := strings.Cut(rest, " ")
	code, want, _ := strings.Cut(expected, " ")
	status, err := strconv.Atoi(code)
	must(t, err)
	got := f.v1(t, method, path, body)
	why := differs(t, got.text, want)
	if got.status != status {
		why = fmt.Sprintf("the status is not %d", status)
	}
	if why != "" {
		t.Errorf("%s\n  answers %d %s\n  %s", line, got.status, got.text, why)
	}
}
