package foreign

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// cel spells a node that stands for a value in CEL. Numbers are written as
// doubles, which is what attributes hold: CEL does not mix them with integers.
func (t *translator) cel(n *node) (string, error) {
	n = fold(n)
	switch n.kind {
	case nodeLiteral:
		return celConstant(n)
	case nodeName:
		return t.celName(n)
	case nodeUnary:
		if n.op == "-" {
			inner, err := t.cel(n.args[0])
			return "(0.0 - " + inner + ")", err
		}
	case nodeCall:
		if strings.EqualFold(n.name, "sqrt") {
			return t.celRoot(n)
		}
		return "", sayable(n, "the function %s is not known here; Usher's functions are attributes, such as custom.%s", n.name, n.name)
	case nodeBinary:
		if isArithmetic(n.op) {
			return t.celSum(n)
		}
	case nodeBad:
		// told already
	case nodeList:
		return "", sayable(n, "a list cannot be computed with")
	}
	return "", sayable(n, "a condition cannot be computed with")
}

func sayable(n *node, format string, args ...any) error {
	return &syntaxError{n.at, fmt.Sprintf(format, args...)}
}

func celConstant(n *node) (string, error) {
	switch v := n.value.(type) {
	case float64:
		text := strconv.FormatFloat(v, 'g', -1, 64)
		if !strings.ContainsAny(text, ".e") {
			text += ".0"
		}
		if v < 0 {
			text = "(" + text + ")"
		}
		return text, nil
	case bool:
		return strconv.FormatBool(v), nil
	case string:
		return celText(v), nil
	}
	return "", sayable(n, "null cannot be computed with")
}

// celText quotes a string: JSON's escapes are all CEL's too.
func celText(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	// A string cannot fail to encode, and a builder to be written to.
	_ = enc.Encode(s)
	return strings.TrimSuffix(b.String(), "\n")
}

// celIdentifier is what CEL takes as a variable with fields.
var celIdentifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)

// celWords cannot stand as names in CEL.
func celWords() []string {
	return []string{
		"as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop", "namespace",
		"null", "package", "return", "true", "var", "void", "while", "bool", "int", "uint", "double", "string", "bytes", "list",
		"map", "null_type", "type", "attributes", "math",
	}
}

func (t *translator) celName(n *node) (string, error) {
	name := t.rename(n.name)
	first, _, _ := strings.Cut(name, ".")
	if !celIdentifier.MatchString(name) || slices.Contains(celWords(), first) {
		return "", sayable(n, "%q cannot be computed with: only names of letters, digits, dots and _ that are no word of CEL can; "+
			"keep the value under another name, or compare it without arithmetic", name)
	}
	return name, nil
}

func (t *translator) celRoot(n *node) (string, error) {
	if len(n.args) != 1 {
		return "", sayable(n, "sqrt takes one value, not %d", len(n.args))
	}
	inner, err := t.cel(n.args[0])
	return "math.sqrt(" + inner + ")", err
}

func (t *translator) celSum(n *node) (string, error) {
	a, err := t.cel(n.args[0])
	b, err2 := t.cel(n.args[1])
	if err = errors.Join(err, err2); err != nil {
		return "", err
	}
	switch n.op {
	case "^":
		return "math.pow(" + a + ", " + b + ")", nil
	case "%":
		// CEL's own % is for integers alone.
		return fmt.Sprintf("(%s - %s * math.trunc(%s / %s))", a, b, a, b), nil
	}
	return "(" + a + " " + n.op + " " + b + ")", nil
}
