package arch_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/usherhq/usher/internal/arch"
)

// TestLaws holds this repository to every law.
func TestLaws(t *testing.T) {
	tree := load(t, os.DirFS("../.."))
	if len(tree.Packages) < 5 {
		t.Fatalf("found %d packages, the tree was not read", len(tree.Packages))
	}
	for _, law := range arch.Laws() {
		t.Run(law.Name, func(t *testing.T) {
			for _, f := range law.Check(tree) {
				t.Error(f)
			}
			if t.Failed() {
				t.Logf("the law: %s, because %s", law.Text, law.Why)
			}
		})
	}
}

// TestLawsBite runs every law over small trees that break it. testdata/<law>.txtar
// holds the files of a module and, as "want", the findings, one a line; the same
// tree must hold code that is fine under the law, which must not be found.
func TestLawsBite(t *testing.T) {
	for _, law := range arch.Laws() {
		t.Run(law.Name, func(t *testing.T) {
			archive, err := txtar.ParseFile(filepath.Join("testdata", law.Name+".txtar"))
			if err != nil {
				t.Fatalf("every law needs a tree that breaks it: %v", err)
			}
			i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
			if i < 0 {
				t.Fatal("the archive has no file called want")
			}
			want := strings.TrimSpace(expand(string(archive.Files[i].Data)))
			archive.Files = slices.Delete(archive.Files, i, i+1)
			for j := range archive.Files {
				archive.Files[j].Data = []byte(expand(string(archive.Files[j].Data)))
			}
			fsys, err := txtar.FS(archive)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range law.Check(load(t, fsys)) {
				got = append(got, f.String())
			}
			if g := strings.Join(got, "\n"); g != want {
				t.Errorf("findings\n%s\nwant\n%s", g, want)
			}
		})
	}
}

// TestLawsAreWrittenDown keeps ARCHITECTURE.md complete.
func TestLawsAreWrittenDown(t *testing.T) {
	doc, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, law := range arch.Laws() {
		if !strings.Contains(string(doc), "`"+law.Name+"`") {
			t.Errorf("ARCHITECTURE.md does not name the law %s", law.Name)
		}
	}
}

// TestLoadNamesTheBrokenFile: a file that is not Go is reported by name.
func TestLoadNamesTheBrokenFile(t *testing.T) {
	for name, archive := range map[string]string{
		"model/x.go":       "-- go.mod --\nmodule m\n-- model/x.go --\npackage model\nfunc {\n",
		"read module file": "-- go.mod --\ngo 1.26\n",
		"go.mod":           "-- model/x.go --\npackage model\n",
	} {
		fsys, err := txtar.FS(txtar.Parse([]byte(archive)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := arch.Load(fsys); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v does not say %s", err, name)
		}
	}
}

// expand lets a case hold many lines, and words that the tree itself may not say:
// a line {{N x TEXT}} becomes N lines, and {{a|b}} becomes ab.
func expand(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		var n int
		if _, err := fmt.Sscanf(line, "{{%d x ", &n); err == nil {
			_, text, _ := strings.Cut(line, " x ")
			for k := range n {
				b.WriteString(strings.ReplaceAll(strings.TrimSuffix(strings.TrimSpace(text), "}}"), "#", fmt.Sprint(k)) + "\n")
			}
			continue
		}
		for {
			before, rest, ok := strings.Cut(line, "{{")
			inner, after, end := strings.Cut(rest, "}}")
			if !ok || !end {
				break
			}
			line = before + strings.ReplaceAll(inner, "|", "") + after
		}
		b.WriteString(line)
	}
	return b.String()
}

func load(t *testing.T, fsys fs.FS) *arch.Tree {
	t.Helper()
	tree, err := arch.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}
