package arch

import (
	"fmt"
	"go/ast"
	"go/build/constraint"
	"path"
	"regexp"
	"slices"
	"strings"
)

// drawers are package names that say nothing about what is inside.
var drawers = []string{
	"util", "utils", "common", "helper", "helpers", "base", "types", "misc", "shared", "lib", "core", "manager", "models", "interfaces",
}

// knownTags are the build constraints that describe a machine, not a choice of
// ours to leave a test out.
var knownTags = []string{"linux", "darwin", "windows", "unix", "amd64", "arm64", "race", "cgo"}

// testVars are the names by which a test calls its *testing.T, B, F or TB.
var testVars = []string{"t", "b", "f", "tb", "tt", "rt", "s"}

// unfinished are words that mark work left undone, or that tie the tree to one
// machine. The pattern is assembled so that this file does not match itself.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b|(?i)\b(place` + `holder|for n` + `ow|st` + `ubs?|st` + `ubbed|coming s` + `oon|not implemented y` + `et)\b|/wo` + `rk/|registry\.npm` + `js|proxy\.gol` + `ang|pypi\.o` + `rg|repo\d?\.mav` + `en|deb\.deb` + `ian`)

func packageNames(t *Tree) (found []Finding) {
	for _, dir := range t.dirs() {
		if name := path.Base(dir); slices.Contains(drawers, name) {
			found = append(found, Finding{dir, 0, fmt.Sprintf("a package called %s becomes a drawer: name it after what it is for", name)})
		}
	}
	return found
}

func documented(t *Tree) (found []Finding) {
	described := map[string]bool{}
	for pkg, f := range t.files {
		described[pkg.Dir] = described[pkg.Dir] || f.Syntax.Doc != nil
		if f.Syntax.Name.Name == "main" {
			continue
		}
		for _, d := range f.Syntax.Decls {
			for name, n := range undocumented(d) {
				found = append(found, Finding{f.Path, t.line(n), fmt.Sprintf("%s has no comment: state its contract, units, failure and concurrency", name)})
			}
		}
	}
	for _, dir := range sortedKeys(described) {
		if !described[dir] {
			found = append(found, Finding{dir, 0, "no package comment: say in one paragraph what the package is for"})
		}
	}
	return found
}

// undocumented returns the exported names of a declaration that have no comment.
// One comment on a group of constants or variables covers the group.
func undocumented(d ast.Decl) map[string]ast.Node {
	names := map[string]ast.Node{}
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
			names[d.Name.Name] = d
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && s.Doc == nil && d.Doc == nil {
					names[s.Name.Name] = s
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if n.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						names[n.Name] = n
					}
				}
			}
		}
	}
	return names
}

func exportedReceiver(fn *ast.FuncDecl) bool {
	if fn.Recv == nil {
		return true
	}
	e := fn.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

func tested(t *Tree) (found []Finding) {
	for _, dir := range t.dirs() {
		var product, test bool
		for _, f := range t.Packages[dir].Files {
			product = product || (!f.Test && !f.Generated)
			test = test || f.Test
		}
		if product && !test && !testKit(dir) {
			found = append(found, Finding{dir, 0, "no test file: show how the package can fail"})
		}
	}
	return found
}

func noSkippedTests(t *Tree) (found []Finding) {
	for _, dir := range t.dirs() {
		for _, f := range t.Packages[dir].Files {
			if f.Test || testKit(dir) {
				found = append(found, skips(t, f)...)
			}
		}
	}
	return found
}

func skips(t *Tree, f *File) (found []Finding) {
	for _, group := range f.Syntax.Comments {
		for _, c := range group.List {
			expr, err := constraint.Parse(c.Text)
			if err != nil || c.Pos() > f.Syntax.Package {
				continue
			}
			expr.Eval(func(tag string) bool {
				if !slices.Contains(knownTags, tag) {
					found = append(found, Finding{f.Path, t.line(c), fmt.Sprintf("hides behind the build tag %s: let it run always", tag)})
				}
				return true
			})
		}
	}
	for call := range calls(f) {
		sel, ok := call.Fun.(*ast.SelectorExpr)
		switch {
		case !ok:
		case callee(call.Fun) == "testing.Short":
			found = append(found, Finding{f.Path, t.line(call), "asks for testing.Short: make the test fast, it always runs"})
		case slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) && slices.Contains(testVars, root(sel.X)):
			found = append(found, Finding{f.Path, t.line(call), "skips: provide what the test needs, or remove it"})
		}
	}
	return found
}

// finishedWords reads texts as written, so it sees comments, strings and names.
func finishedWords(t *Tree) (found []Finding) {
	for _, text := range t.Texts {
		if strings.Contains(text.Path, "gen/") || strings.HasPrefix(text.Path, "proto/third_party") {
			continue
		}
		n := 0
		for line := range strings.Lines(text.Content) {
			n++
			if word := unfinished.FindString(line); word != "" {
				found = append(found, Finding{text.Path, n, fmt.Sprintf("says %q: finish it, or say what is true today", word)})
			}
		}
	}
	return found
}

// metricName is the shape of the metrics' names.
var metricName = regexp.MustCompile(`"(usher_[a-z0-9_]+)"`)

// metricsDocumented wants every metric in the operators' handbook.
func metricsDocumented(t *Tree) (found []Finding) {
	const handbook = "docs/operations.md"
	i := slices.IndexFunc(t.Texts, func(text Text) bool { return text.Path == handbook })
	for _, text := range t.Texts {
		if path.Base(text.Path) != "metrics.go" {
			continue
		}
		n := 0
		for line := range strings.Lines(text.Content) {
			n++
			for _, m := range metricName.FindAllStringSubmatch(line, -1) {
				if i < 0 || !strings.Contains(t.Texts[i].Content, "`"+m[1]+"`") {
					found = append(found, Finding{text.Path, n, fmt.Sprintf("%s does not explain %s: say what it tells an operator", handbook, m[1])})
				}
			}
		}
	}
	return found
}

// link is a Markdown link to a place of this repository.
var link = regexp.MustCompile(`\]\(([^)#:\s]+)(?:#[^)]*)?\)`)

// linksLead wants every relative link of a page to name something that is there.
func linksLead(t *Tree) (found []Finding) {
	for _, text := range t.Texts {
		if !strings.HasSuffix(text.Path, ".md") {
			continue
		}
		n := 0
		for line := range strings.Lines(text.Content) {
			n++
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				if to := path.Join(path.Dir(text.Path), m[1]); !t.Paths[to] {
					found = append(found, Finding{text.Path, n, fmt.Sprintf("links to %s, which is not there: mend the link or write the page", to)})
				}
			}
		}
	}
	return found
}
