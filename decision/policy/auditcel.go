package policy

import (
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
)

// expectedSize is how many characters or elements an attribute is taken to have
// when the cost of an expression is estimated.
const expectedSize = 100

// auditExpression checks an expression with the types that its attributes are
// declared with, and estimates what it can cost.
func (c *compiler) auditExpression(parsed, checked *cel.Ast, names []string, path string) {
	if c.audit == nil {
		return
	}
	c.checkTypes(parsed, names, path)
	estimate, err := c.cel.env.EstimateCost(checked, sizes{})
	if err != nil {
		return
	}
	if estimate.Max > celCost {
		c.check.fail(CodeTooCostly, path, "could cost %d with lists and texts of %d; the limit is %d. Nested macros over lists multiply", estimate.Max, expectedSize, celCost)
	}
}

// checkTypes reports what is of the wrong type whichever kind of number numbers are
// taken for: CEL tells whole numbers from others, the language does not.
func (c *compiler) checkTypes(parsed *cel.Ast, names []string, path string) {
	whole, broken := c.typeErrors(parsed, names, cel.IntType), c.typeErrors(parsed, names, cel.DoubleType)
	for _, e := range broken {
		for _, other := range whole {
			if e.Location.Line() == other.Location.Line() && e.Location.Column() == other.Location.Column() {
				c.check.fail(CodeTypeMismatch, path, "at column %d: %s", e.Location.Column()+1, strings.ReplaceAll(e.Message, "double", "number"))
				break
			}
		}
	}
}

func (c *compiler) typeErrors(parsed *cel.Ast, names []string, number *cel.Type) []*cel.Error {
	variables := make([]cel.EnvOption, len(names))
	for i, name := range names {
		t := cel.DynType
		switch c.typeOf(name) {
		case TypeString:
			t = cel.StringType
		case TypeNumber:
			t = number
		case TypeBoolean:
			t = cel.BoolType
		case TypeList:
			t = cel.ListType(cel.DynType)
		case TypeObject, TypeAny:
		}
		variables[i] = cel.Variable(name, t)
	}
	env, err := c.cel.env.Extend(variables...)
	if err != nil {
		return nil
	}
	_, issues := env.Check(parsed)
	return issues.Errors()
}

// sizes says how big attributes are taken to be.
type sizes struct{}

// EstimateSize bounds what only the facts will know.
func (sizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	if len(node.Path()) == 0 {
		return nil
	}
	return &cost.SizeEstimate{Min: 0, Max: expectedSize}
}

// EstimateCallCost leaves calls to the library's own estimate.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}
