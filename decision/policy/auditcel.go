package policy

import (
	"math"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
)

// expectedSize is how many characters or elements an attribute is taken to have
// when the cost of an expression is estimated.
const expectedSize = 100

// auditExpression estimates what an expression can cost, which no environment is
// needed for, and checks it with the types that its attributes are declared with.
func (c *compiler) auditExpression(parsed, checked *cel.Ast, names []string, path string) {
	if c.audit != nil {
		c.checkTypes(parsed, names, path)
	}
	if !c.doubts && c.audit == nil {
		return // it was checked when it was saved
	}
	estimate, err := c.cel.env.EstimateCost(checked, sizes{})
	if err != nil || estimate.Max <= celCost {
		return
	}
	much, why := strconv.FormatUint(estimate.Max, 10), ""
	if estimate.Max == math.MaxUint64 {
		much = "more than can be told"
	}
	if nesting(checked.NativeRep().Expr()) > 1 {
		why = ". Macros over lists within each other multiply"
	}
	c.check.fail(CodeTooCostly, path, "could cost %s with lists and texts of %d; the limit is %d%s", much, expectedSize, celCost, why)
}

// nesting counts how deep macros over lists stand within each other.
func nesting(e ast.Expr) (deepest int) {
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(at ast.Expr) {
		if at.Kind() != ast.ComprehensionKind {
			return
		}
		loop := at.AsComprehension()
		deepest = max(deepest, 1+max(nesting(loop.LoopCondition()), nesting(loop.LoopStep())))
	}))
	return deepest
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
		if name == everyAttribute {
			t = everyType()
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

// sizes says how big values are taken to be.
type sizes struct{}

// EstimateSize bounds what only the facts will know: attributes, their parts, and
// what is calculated from them.
func (sizes) EstimateSize(cost.AstNode) *cost.SizeEstimate {
	return &cost.SizeEstimate{Min: 0, Max: expectedSize}
}

// EstimateCallCost leaves calls to the library's own estimate.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}
