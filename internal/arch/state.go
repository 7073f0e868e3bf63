package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// constantCalls make a value that never changes afterwards; a package variable
// may be initialised by one of them.
var constantCalls = []string{
	"errors.New", "fmt.Errorf", "regexp.MustCompile", "template.Must", "strings.NewReplacer", "crc32.MakeTable",
	"crc64.MakeTable", "netip.MustParsePrefix", "netip.MustParseAddr", "reflect.TypeFor", "math.Log", "math.Inf", "math.Sqrt",
}

// stamped are the variables of a main package that the linker may set.
var stamped = []string{"version", "commit", "date"}

// pure lists the packages that a replay runs again, and impure what they must
// not import or call.
var (
	pure        = []string{"decision/policy", "model", "model/explore"}
	impure      = []string{"net", "net/http", "os", "os/exec", "database/sql", "log", "math/rand", "crypto/rand"}
	impureCalls = []string{"time.Now", "time.Since", "time.Sleep", "rand.Int", "rand.IntN", "rand.Float64", "rand.Perm", "rand.Shuffle", "rand.Uint64", "rand.N"}
)

// exits end the process or unwind it.
var exits = []string{"log.Fatal", "log.Fatalf", "log.Fatalln", "log.Panic", "log.Panicf", "os.Exit"}

// environment are the calls that read or write the process environment.
var environment = []string{"os.Getenv", "os.LookupEnv", "os.Environ", "os.ExpandEnv", "os.Setenv"}

func noInit(t *Tree) (found []Finding) {
	for _, f := range t.files {
		for _, d := range f.Syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				found = append(found, Finding{f.Path, t.line(fn), "init runs behind the reader's back: do it in New or in main"})
			}
		}
	}
	return found
}

func noMutableGlobals(t *Tree) (found []Finding) {
	for pkg, f := range t.files {
		for _, d := range f.Syntax.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, s := range gen.Specs {
				spec := s.(*ast.ValueSpec)
				for i, name := range spec.Names {
					if !constantVar(pkg, gen, spec, i) {
						found = append(found, Finding{f.Path, t.line(name), fmt.Sprintf("package variable %s can change: make it a constant, a function, or a field of what uses it", name.Name)})
					}
				}
			}
		}
	}
	return found
}

// constantVar says whether the i-th name of a var spec has one of the shapes
// that do not change after start-up.
func constantVar(pkg *Package, gen *ast.GenDecl, spec *ast.ValueSpec, i int) bool {
	name := spec.Names[i].Name
	switch {
	case name == "_", directive(gen.Doc, "//go:embed"), directive(spec.Doc, "//go:embed"):
		return true
	case top(pkg.Dir) == "cmd" && slices.Contains(stamped, name):
		return true
	case i >= len(spec.Values):
		return false
	}
	switch v := spec.Values[i].(type) {
	case *ast.CallExpr:
		return slices.Contains(constantCalls, callee(v.Fun)) && !written(pkg, name)
	case *ast.CompositeLit:
		return !ast.IsExported(name) && !written(pkg, name)
	}
	return false
}

func directive(doc *ast.CommentGroup, prefix string) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, prefix) })
}

// callee names what is called, without its type arguments: errors.New,
// reflect.TypeFor, panic.
func callee(fun ast.Expr) string {
	switch f := fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.IndexExpr:
		return callee(f.X)
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			return x.Name + "." + f.Sel.Name
		}
	}
	return ""
}

// written says whether any product file of the package assigns to the variable
// or to a part of it, takes its address, or hands it to delete, clear or copy.
// A local variable of the same name counts as well, so the answer errs on the
// side of a finding.
func written(pkg *Package, name string) (yes bool) {
	for _, f := range pkg.Files {
		if f.Test {
			continue
		}
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			yes = yes || writes(n, name)
			return !yes
		})
	}
	return yes
}

func writes(n ast.Node, name string) bool {
	switch n := n.(type) {
	case *ast.AssignStmt:
		return n.Tok != token.DEFINE && slices.ContainsFunc(n.Lhs, func(e ast.Expr) bool { return root(e) == name })
	case *ast.IncDecStmt:
		return root(n.X) == name
	case *ast.UnaryExpr:
		return n.Op == token.AND && root(n.X) == name
	case *ast.CallExpr:
		fn, ok := n.Fun.(*ast.Ident)
		return ok && slices.Contains([]string{"delete", "clear", "copy"}, fn.Name) && len(n.Args) > 0 && root(n.Args[0]) == name
	}
	return false
}

// root is the variable an expression like x, x.f, x[i] or *x starts from.
func root(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return root(e.X)
	case *ast.IndexExpr:
		return root(e.X)
	case *ast.StarExpr:
		return root(e.X)
	case *ast.ParenExpr:
		return root(e.X)
	}
	return ""
}

func noPanic(t *Tree) (found []Finding) {
	for pkg, f := range t.files {
		main := f.Syntax.Name.Name == "main" && strings.HasSuffix(f.Path, "/main.go")
		if testKit(pkg.Dir) {
			continue
		}
		for call := range calls(f) {
			name := callee(call.Fun)
			switch {
			case name == "panic":
				found = append(found, Finding{f.Path, t.line(call), "panics: return an error"})
			case slices.Contains(exits, name) && !main:
				found = append(found, Finding{f.Path, t.line(call), fmt.Sprintf("calls %s: return an error and let main.go exit", name)})
			}
		}
	}
	return found
}

func environmentInCmd(t *Tree) (found []Finding) {
	for pkg, f := range t.files {
		if top(pkg.Dir) == "cmd" || testKit(pkg.Dir) {
			continue
		}
		for call := range calls(f) {
			if name := callee(call.Fun); slices.Contains(environment, name) {
				found = append(found, Finding{f.Path, t.line(call), fmt.Sprintf("calls %s: take the value through Config", name)})
			}
		}
	}
	return found
}

func purePackages(t *Tree) (found []Finding) {
	for pkg, f := range t.files {
		if !slices.Contains(pure, pkg.Dir) {
			continue
		}
		for _, imp := range f.Imports {
			if slices.Contains(impure, imp.Path) {
				found = append(found, Finding{f.Path, imp.Line, fmt.Sprintf("imports %s: %s runs again in a replay, take the value as an argument", imp.Path, pkg.Dir)})
			}
		}
		for call := range calls(f) {
			if name := callee(call.Fun); slices.Contains(impureCalls, name) {
				found = append(found, Finding{f.Path, t.line(call), fmt.Sprintf("calls %s: %s runs again in a replay, take the value as an argument", name, pkg.Dir)})
			}
		}
	}
	return found
}

// calls yields every call expression of a file.
func calls(f *File) func(yield func(*ast.CallExpr) bool) {
	return func(yield func(*ast.CallExpr) bool) {
		more := true
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && more {
				more = yield(call)
			}
			return more
		})
	}
}
