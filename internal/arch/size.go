package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
)

// The size laws. A hard stop is a finding at its place; a rule is a finding about
// the whole tree when more than one in twenty goes over it.
const (
	functionStop  = 80
	functionRule  = 40
	parameterStop = 5
	fileStop      = 600
	fileRule      = 350
	methodStop    = 5
)

// sized is a thing with a length and a place.
type sized struct {
	lines int
	path  string
	line  int
	name  string
}

func functionSize(t *Tree) (found []Finding) {
	var all []sized
	for _, f := range t.files {
		for _, d := range f.Syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			at := t.line(fn)
			if n := parameters(fn); n > parameterStop {
				found = append(found, Finding{f.Path, at, fmt.Sprintf("%s takes %d parameters beside the context, the limit is %d: gather them in a struct", fn.Name.Name, n, parameterStop)})
			}
			if isTable(fn) {
				continue
			}
			lines := t.fset.Position(fn.Body.End()).Line - t.fset.Position(fn.Type.Pos()).Line + 1
			all = append(all, sized{lines, f.Path, at, fn.Name.Name})
			if lines > functionStop {
				found = append(found, Finding{f.Path, at, fmt.Sprintf("%s has %d lines, the limit is %d: give its steps names", fn.Name.Name, lines, functionStop)})
			}
		}
	}
	return append(found, tail(all, functionRule, "functions")...)
}

// parameters counts what a function takes; a context is not counted.
func parameters(fn *ast.FuncDecl) int {
	n := fn.Type.Params.NumFields()
	for _, p := range fn.Type.Params.List {
		if sel, ok := p.Type.(*ast.SelectorExpr); ok && sel.Sel.Name == "Context" {
			n -= max(len(p.Names), 1)
		}
	}
	return n
}

// isTable says whether a function only returns one composite literal: data that
// happens to need a function around it.
func isTable(fn *ast.FuncDecl) bool {
	if len(fn.Body.List) != 1 {
		return false
	}
	ret, ok := fn.Body.List[0].(*ast.ReturnStmt)
	if !ok || len(ret.Results) != 1 {
		return false
	}
	_, ok = ret.Results[0].(*ast.CompositeLit)
	return ok
}

func fileSize(t *Tree) (found []Finding) {
	var all []sized
	for _, f := range t.files {
		lines := f.Lines - t.tableLines(f)
		all = append(all, sized{lines, f.Path, 0, f.Path})
		if lines > fileStop {
			found = append(found, Finding{f.Path, 0, fmt.Sprintf("%d lines, the limit is %d (tables not counted): split it by what its parts are for", lines, fileStop)})
		}
	}
	return append(found, tail(all, fileRule, "files")...)
}

// tableLines counts the lines of package-level composite literals.
func (t *Tree) tableLines(f *File) (lines int) {
	for _, d := range f.Syntax.Decls {
		gen, ok := d.(*ast.GenDecl)
		if !ok || gen.Tok != token.VAR {
			continue
		}
		for _, s := range gen.Specs {
			for _, v := range s.(*ast.ValueSpec).Values {
				if _, ok := v.(*ast.CompositeLit); ok {
					lines += t.span(v) - 1
				}
			}
		}
	}
	return lines
}

// tail reports the longest things when more than one in twenty goes over rule.
func tail(all []sized, rule int, noun string) []Finding {
	slices.SortFunc(all, func(a, b sized) int { return b.lines - a.lines })
	over := 0
	for over < len(all) && all[over].lines > rule {
		over++
	}
	if len(all) < 20 || over*20 <= len(all) {
		return nil
	}
	f := Finding{Path: ".", Msg: fmt.Sprintf("%d of %d %s have more than %d lines, one in twenty may: shorten", over, len(all), noun, rule)}
	for i, s := range all[:min(over, 8)] {
		sep := ", "
		if i == 0 {
			sep = " "
		}
		f.Msg += fmt.Sprintf("%s%s (%s:%d, %d)", sep, s.name, s.path, s.line, s.lines)
	}
	return []Finding{f}
}

func interfaceSize(t *Tree) (found []Finding) {
	for _, f := range t.files {
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if it, ok := spec.Type.(*ast.InterfaceType); ok && it.Methods.NumFields() > methodStop {
				found = append(found, Finding{f.Path, t.line(spec), fmt.Sprintf("interface %s declares %d methods, the limit is %d: declare what each caller needs beside that caller", spec.Name.Name, it.Methods.NumFields(), methodStop)})
			}
			return true
		})
	}
	return found
}
