package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Tree is the parsed source of one module. It is immutable once loaded.
type Tree struct {
	Module   string              // module path, from go.mod
	Packages map[string]*Package // by folder relative to the root, "." for the root
	Texts    []Text              // every text file a law reads word by word, Go included
	Paths    map[string]bool     // every file and folder walked
	fset     *token.FileSet
}

// Package is one folder with Go files.
type Package struct {
	Dir   string
	Files []*File
}

// File is one Go source file.
type File struct {
	Path      string // relative to the root of the module
	Lines     int
	Test      bool // name ends in _test.go
	Generated bool // carries the standard "Code generated ... DO NOT EDIT." line
	Syntax    *ast.File
	Imports   []Import
}

// Import is one import of a file, with the line it stands on.
type Import struct {
	Path string
	Line int
}

// Text is the raw content of one file.
type Text struct {
	Path    string
	Content string
}

// textNames are the endings (or whole names) of the files whose words are checked.
var textNames = []string{
	".go", ".md", ".proto", ".sql", ".yaml", ".yml", ".sh", ".mod", ".service", ".ts", ".tsx", ".css", ".html",
	"Makefile", "Dockerfile", ".npmrc", "package.json",
}

// Load parses the module at the root of fsys. Folders that go tooling ignores
// (testdata, names with a leading dot or underscore), node_modules and nested
// modules are left out. It fails on the first file that is not Go.
func Load(fsys fs.FS) (*Tree, error) {
	mod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, fmt.Errorf("read module file: %w", err)
	}
	t := &Tree{Packages: map[string]*Package{}, Paths: map[string]bool{}, fset: token.NewFileSet()}
	if t.Module = modulePath(string(mod)); t.Module == "" {
		return nil, fmt.Errorf("read module file: no module line")
	}
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		t.Paths[name] = true
		switch {
		case err != nil:
			return err
		case d.IsDir() && path.Base(name) == "testdata":
			return t.list(fsys, name)
		case d.IsDir():
			return enter(fsys, name)
		case isText(name):
			return t.add(fsys, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load tree: %w", err)
	}
	return t, nil
}

// list notes the names below a folder of test data, which pages may link to,
// reads none of them, and skips the folder.
func (t *Tree) list(fsys fs.FS, folder string) error {
	err := fs.WalkDir(fsys, folder, func(name string, _ fs.DirEntry, err error) error {
		t.Paths[name] = true
		return err
	})
	if err != nil {
		return err
	}
	return fs.SkipDir
}

// enter says whether a folder belongs to the module.
func enter(fsys fs.FS, name string) error {
	base := path.Base(name)
	switch {
	case name == ".":
		return nil
	case base == "node_modules", base == "bin", base == "data":
		return fs.SkipDir
	case strings.HasPrefix(base, "."), strings.HasPrefix(base, "_"):
		return fs.SkipDir
	}
	if _, err := fs.Stat(fsys, path.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func (t *Tree) add(fsys fs.FS, name string) error {
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	t.Texts = append(t.Texts, Text{Path: name, Content: string(src)})
	if !strings.HasSuffix(name, ".go") {
		return nil
	}
	syntax, err := parser.ParseFile(t.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	f := &File{
		Path:      name,
		Lines:     strings.Count(string(src), "\n"),
		Test:      strings.HasSuffix(name, "_test.go"),
		Generated: ast.IsGenerated(syntax),
		Syntax:    syntax,
	}
	for _, s := range syntax.Imports {
		p, err := strconv.Unquote(s.Path.Value)
		if err != nil {
			return fmt.Errorf("import in %s: %w", name, err)
		}
		f.Imports = append(f.Imports, Import{Path: p, Line: t.line(s)})
	}
	dir := path.Dir(name)
	if t.Packages[dir] == nil {
		t.Packages[dir] = &Package{Dir: dir}
	}
	t.Packages[dir].Files = append(t.Packages[dir].Files, f)
	return nil
}

func (t *Tree) line(n ast.Node) int { return t.fset.Position(n.Pos()).Line }

// span is the number of lines a node covers.
func (t *Tree) span(n ast.Node) int {
	return t.fset.Position(n.End()).Line - t.fset.Position(n.Pos()).Line + 1
}

// dirs returns the folders with Go files, sorted.
func (t *Tree) dirs() []string {
	dirs := make([]string, 0, len(t.Packages))
	for d := range t.Packages {
		dirs = append(dirs, d)
	}
	slices.Sort(dirs)
	return dirs
}

// files yields the hand-written product files, tests left out.
func (t *Tree) files(yield func(*Package, *File) bool) {
	for _, d := range t.dirs() {
		for _, f := range t.Packages[d].Files {
			if f.Test || f.Generated {
				continue
			}
			if !yield(t.Packages[d], f) {
				return
			}
		}
	}
}

// own returns the folder of an import path of this module.
func (t *Tree) own(importPath string) (dir string, ok bool) {
	if importPath == t.Module {
		return ".", true
	}
	return strings.CutPrefix(importPath, t.Module+"/")
}

// testKit says whether a package exists for tests alone: a conformance suite or
// a harness, by the house rule that its name ends in "test".
func testKit(dir string) bool { return strings.HasSuffix(path.Base(dir), "test") }

// under says whether dir is root or lies below it.
func under(dir, root string) bool { return dir == root || strings.HasPrefix(dir, root+"/") }

func isText(name string) bool {
	return slices.ContainsFunc(textNames, func(end string) bool {
		return strings.HasSuffix(name, end) && (strings.HasPrefix(end, ".") || path.Base(name) == end)
	})
}

func modulePath(mod string) string {
	for line := range strings.Lines(mod) {
		if p, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(p)
		}
	}
	return ""
}
