package foreign

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// nodeKind is the kind of one node of an expression's tree.
type nodeKind uint8

const (
	nodeLiteral nodeKind = iota // value: string, float64, bool or nil
	nodeName                    // name
	nodeList                    // args
	nodeCall                    // name, args
	nodeUnary                   // op: not, -
	nodeBad                     // a fault, told already
	nodeBinary                  // op: or and == != < <= > >= in notin has contains + - * / % ^
)

type node struct {
	kind  nodeKind
	op    string
	name  string
	value any
	args  []*node
	at    int
	// single says that a comparison was written with one equals sign.
	single bool
}

// Bounds of an expression. Policies bound conditions more tightly; these keep a
// hostile text from the stack.
const (
	maxExpression = 20_000
	maxNesting    = 100
	maxFaults     = 50 // told of one expression's syntax
)

// parseExpression reads LivePerson's expression language and TaskRouter's, which
// differ in names more than in grammar. From weakest to strongest: or, and, not,
// comparisons, + -, * / %, unary minus, ^ (to the right). After a fault it goes on
// at the next and, or, comma or closing bracket; what stands before it is bad.
func parseExpression(text string) (*node, []*syntaxError) {
	if len(text) > maxExpression {
		return &node{kind: nodeBad}, []*syntaxError{{maxExpression, fmt.Sprintf("the expression is longer than %d bytes", maxExpression)}}
	}
	p := &parser{failedAt: -1}
	p.tokens, p.faults = lex(text)
	n := p.or()
	for p.peek().kind != tokenEnd {
		p.fail("%s is not expected here", p.peek().spell())
		// What follows is read for its faults and joined, so that they are told.
		p.next()
		p.take("and", "or", "&&", "||")
		n = &node{kind: nodeBinary, op: "and", args: []*node{n, p.or()}}
	}
	slices.SortStableFunc(p.faults, func(a, b *syntaxError) int { return cmp.Compare(a.at, b.at) })
	return n, p.faults
}

type parser struct {
	tokens []token
	at     int
	depth  int
	faults []*syntaxError
	// failedAt is the token at which the last fault left off: what fails there fails
	// because of it.
	failedAt int
}

func (t token) spell() string {
	switch t.kind {
	case tokenEnd:
		return "the end"
	case tokenString:
		return "'" + t.text + "'"
	default:
		return t.text
	}
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != tokenEnd {
		p.at++
	}
	return t
}

// fail records a fault and skips what belongs to it.
func (p *parser) fail(format string, args ...any) *node {
	if p.at != p.failedAt && p.peek().kind != tokenBad {
		p.faults = append(p.faults, &syntaxError{p.peek().at, fmt.Sprintf(format, args...)})
	}
	for open := 0; p.peek().kind != tokenEnd; p.next() {
		w, _ := p.word()
		if open == 0 && slices.Contains([]string{"and", "or", "&&", "||", ",", ")", "]"}, w) {
			break
		}
		switch w {
		case "(", "[":
			open++
		case ")", "]":
			open--
		}
	}
	p.failedAt = p.at
	return &node{kind: nodeBad}
}

// tooDeep is a fault that nothing after it can mend.
func (p *parser) tooDeep() *node {
	n := p.fail("the expression is nested more than %d deep", maxNesting)
	p.at = len(p.tokens) - 1
	p.failedAt = p.at
	return n
}

// word reports whether the next token is one of these keywords or signs, in any
// case, and returns it in lower case.
func (p *parser) word(words ...string) (string, bool) {
	t := p.peek()
	if t.kind != tokenName && t.kind != tokenSign {
		return "", false
	}
	w := strings.ToLower(t.text)
	return w, slices.Contains(words, w)
}

func (p *parser) take(words ...string) bool {
	_, ok := p.word(words...)
	if ok {
		p.next()
	}
	return ok
}

func (p *parser) or() *node {
	if p.depth++; p.depth > maxNesting {
		return p.tooDeep()
	}
	defer func() { p.depth-- }()
	n := p.and()
	for at := p.peek().at; p.take("or", "||"); at = p.peek().at {
		n = &node{kind: nodeBinary, op: "or", args: []*node{n, p.and()}, at: at}
	}
	return n
}

func (p *parser) and() *node {
	n := p.not()
	for at := p.peek().at; p.take("and", "&&"); at = p.peek().at {
		n = &node{kind: nodeBinary, op: "and", args: []*node{n, p.not()}, at: at}
	}
	return n
}

func (p *parser) not() *node {
	if at := p.peek().at; p.take("not", "!") {
		if p.depth++; p.depth > maxNesting {
			return p.tooDeep()
		}
		defer func() { p.depth-- }()
		return &node{kind: nodeUnary, op: "not", args: []*node{p.not()}, at: at}
	}
	return p.comparison()
}

func (p *parser) comparison() *node {
	left := p.sum()
	at := p.peek().at
	single := p.peek().kind == tokenSign && p.peek().text == "="
	op, ok := p.comparator()
	if !ok {
		return left
	}
	n := &node{kind: nodeBinary, op: op, args: []*node{left, p.sum()}, at: at, single: single}
	if _, again := p.comparator(); again {
		return p.fail("a comparison has two sides; join comparisons with and")
	}
	return n
}

// comparator takes a comparison sign or word in its one spelling.
func (p *parser) comparator() (string, bool) {
	w, ok := p.word("==", "=", "!=", "<>", "<", "<=", ">", ">=", "in", "has", "contains", "not")
	if !ok {
		return "", false
	}
	p.next()
	switch w {
	case "=":
		return "==", true
	case "<>":
		return "!=", true
	case "not":
		if !p.take("in") {
			p.fail("not between two sides must be not in")
		}
		return "notin", true
	}
	return w, true
}

func (p *parser) sum() *node { return p.chain(p.term, "+", "-") }

func (p *parser) term() *node { return p.chain(p.unary, "*", "/", "%") }

func (p *parser) chain(operand func() *node, signs ...string) *node {
	n := operand()
	for {
		t := p.peek()
		if t.kind != tokenSign || !slices.Contains(signs, t.text) {
			return n
		}
		p.next()
		right := operand()
		// custom.vip-list was meant as one name more often than as a difference.
		if t.text == "-" && t.tight && n.kind == nodeName && right.kind == nodeName && right.at == t.at+1 {
			p.at = p.position(t.at)
			return p.fail("%s-%s is read as a difference; write {{%s-%s}} for a name with a hyphen, or put spaces around the minus",
				n.name, right.name, n.name, right.name)
		}
		n = &node{kind: nodeBinary, op: t.text, args: []*node{n, right}, at: t.at}
	}
}

// position finds the token at a byte offset.
func (p *parser) position(at int) int {
	return slices.IndexFunc(p.tokens, func(t token) bool { return t.at >= at })
}

func (p *parser) unary() *node {
	t := p.peek()
	if t.kind != tokenSign || t.text != "-" && t.text != "+" {
		return p.power()
	}
	p.next()
	if p.depth++; p.depth > maxNesting {
		return p.tooDeep()
	}
	defer func() { p.depth-- }()
	if t.text == "+" {
		return p.unary()
	}
	return &node{kind: nodeUnary, op: "-", args: []*node{p.unary()}, at: t.at}
}

func (p *parser) power() *node {
	base := p.primary()
	at := p.peek().at
	if !p.take("^") {
		return base
	}
	if p.depth++; p.depth > maxNesting {
		return p.tooDeep()
	}
	defer func() { p.depth-- }()
	return &node{kind: nodeBinary, op: "^", args: []*node{base, p.unary()}, at: at}
}

func (p *parser) primary() *node {
	t := p.peek()
	switch {
	case t.kind == tokenNumber:
		p.next()
		return &node{kind: nodeLiteral, value: t.number, at: t.at}
	case t.kind == tokenString:
		p.next()
		return &node{kind: nodeLiteral, value: t.text, at: t.at}
	case t.kind == tokenName:
		return p.named()
	case p.take("("):
		return p.group(t.at)
	case p.take("["):
		return &node{kind: nodeList, args: p.items("]"), at: t.at}
	default:
		return p.fail("%s stands where a value is expected", t.spell())
	}
}

// group reads what stands in parentheses: an expression, or with commas a list.
func (p *parser) group(at int) *node {
	items := p.items(")")
	switch {
	case len(items) == 0:
		p.at--
		p.fail("the parentheses are empty")
		p.take(")")
		return &node{kind: nodeBad}
	case len(items) == 1:
		return items[0]
	}
	return &node{kind: nodeList, args: items, at: at}
}

func (p *parser) items(end string) []*node {
	var out []*node
	for !p.take(end) {
		out = append(out, p.or())
		if _, closing := p.word(end); closing || p.take(",") {
			continue
		}
		out = append(out, p.fail("%s is not expected here; %s or a comma is", p.peek().spell(), end))
		if p.peek().kind == tokenEnd {
			break
		}
		if _, closing := p.word(end); !closing {
			p.next()
		}
	}
	return out
}

func (p *parser) named() *node {
	t := p.next()
	switch strings.ToLower(t.text) {
	case "true", "false":
		return &node{kind: nodeLiteral, value: strings.EqualFold(t.text, "true"), at: t.at}
	case "null":
		return &node{kind: nodeLiteral, at: t.at}
	case "and", "or", "not", "in", "has", "contains":
		p.at--
		return p.fail("%s stands where a value is expected", t.text)
	}
	if p.take("(") {
		return &node{kind: nodeCall, name: t.text, args: p.items(")"), at: t.at}
	}
	return &node{kind: nodeName, name: t.text, at: t.at}
}
