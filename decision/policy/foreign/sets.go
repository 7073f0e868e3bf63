package foreign

// membership translates in and not in: a list of constants, an attribute that
// holds a list, or a list with attributes in it.
func (t *translator) membership(n, left, right *node) doc {
	in, equal := "in", "=="
	if n.op == "notin" {
		in, equal = "not_in", "!="
	}
	switch {
	case right.kind == nodeName && left.kind == nodeName:
		return t.pair(left.name, in, right.name)
	case right.kind == nodeName && left.kind == nodeLiteral && left.value != nil:
		c := t.leaf(right.name, "contains", left.value)
		if n.op == "notin" {
			return t.denied(right.name, left.value)
		}
		return c
	case right.kind == nodeLiteral && right.value != nil:
		right = &node{kind: nodeList, args: []*node{right}, at: right.at}
	case isOr(right):
		return t.alternatives(&node{op: equal, at: n.at}, left, right)
	}
	if right.kind != nodeList {
		return t.fail(n, CodeNotSayable, "on the right of in stands neither a list nor an attribute")
	}
	if len(right.args) == 0 {
		t.warn(n, CodeConstant, "the list is empty: the condition %s holds", map[bool]string{true: "always", false: "never"}[n.op == "notin"])
		return constant(n.op == "notin")
	}
	if values, ok := constantsOf(right); ok && left.kind == nodeName {
		return t.leaf(left.name, in, values)
	}
	return t.each(n, left, right, equal)
}

// denied is 'x' not in list.
func (t *translator) denied(list string, value any) doc {
	name := t.rename(list)
	not := doc{"not": doc{"attribute": name, "operator": "contains", "value": value}}
	if !t.nulls {
		return not
	}
	return doc{"any": []any{doc{"attribute": name, "operator": "exists", "value": false}, not}}
}

// each compares one by one: that is what a list with attributes in it means.
func (t *translator) each(n, left, right *node, equal string) doc {
	all := make([]any, 0, len(right.args))
	for _, arg := range right.args {
		all = append(all, t.comparison(&node{kind: nodeBinary, op: equal, args: []*node{left, arg}, at: n.at}))
	}
	if len(all) == 1 {
		if one, ok := all[0].(doc); ok {
			return one
		}
	}
	if equal == "!=" {
		return doc{"all": all}
	}
	return doc{"any": all}
}

// constantsOf returns the elements of a list that holds constants of one type,
// which is what the operator in takes.
func constantsOf(n *node) ([]any, bool) {
	var out []any
	for _, arg := range n.args {
		arg = fold(arg)
		if arg.kind != nodeLiteral || arg.value == nil || !sameType(arg.value, fold(n.args[0]).value) {
			return nil, false
		}
		out = append(out, arg.value)
	}
	return out, true
}

func sameType(a, b any) bool {
	switch a.(type) {
	case string:
		_, ok := b.(string)
		return ok
	case float64:
		_, ok := b.(float64)
		return ok
	case bool:
		_, ok := b.(bool)
		return ok
	}
	return false
}

// containing translates TaskRouter's HAS, a list with an element, and CONTAINS, a
// text with a part. Both are the operator contains.
func (t *translator) containing(n, left, right *node) doc {
	switch {
	case left.kind == nodeName && right.kind == nodeLiteral && right.value != nil:
		return t.leaf(left.name, "contains", right.value)
	case left.kind == nodeName && right.kind == nodeName:
		return t.pair(left.name, "contains", right.name)
	case left.kind == nodeList && right.kind == nodeName:
		return t.membership(&node{op: "in", at: n.at}, right, left)
	}
	return t.fail(n, CodeNotSayable, "on the left of %s must stand an attribute, on the right a value or an attribute", n.op)
}
