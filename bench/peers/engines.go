package main

import (
	"context"
	"fmt"
	"math"
	"strings"

	"cel.dev/cel-go/cel"
	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// opa is a prepared query over one rule per policy; its rule index applies. It
// collects all matches, the first of them decides.
type opa struct {
	query rego.PreparedEvalQuery
}

func newOPA(rules []rule) (*opa, error) {
	var b strings.Builder
	b.WriteString("package peers\n\nmatch := min(matches)\n\n")
	for i, r := range rules {
		fmt.Fprintf(&b, "matches contains %d if {\n\tinput.intent == %q\n\tinput.wait > %v\n\tinput.hour >= %v\n\tinput.hour < %v\n\tnot input.vip\n\tstartswith(input.channel, %q)\n}\n\n",
			i, r.Intent, r.Wait, r.From, r.To, r.Prefix)
	}
	query, err := rego.New(
		rego.Query("data.peers.match"),
		rego.ParsedModule(ast.MustParseModule(b.String())),
	).PrepareForEval(context.Background())
	if err != nil {
		return nil, fmt.Errorf("prepare query: %w", err)
	}
	return &opa{query: query}, nil
}

func (o *opa) decide(a *ask) int {
	results, err := o.query.Eval(context.Background(), rego.EvalInput(a.attributes))
	if err != nil {
		panic(err)
	}
	if len(results) == 0 {
		return -1
	}
	var n int
	if _, err := fmt.Sscan(fmt.Sprint(results[0].Expressions[0].Value), &n); err != nil {
		panic(err)
	}
	return n
}

func (r *rule) text(not, starts string) string {
	return fmt.Sprintf("intent == %q && wait > %s && hour >= %s && hour < %s && %svip && %s",
		r.Intent, float(r.Wait), float(r.From), float(r.To), not, fmt.Sprintf(starts, r.Prefix))
}

// float writes a number that every language reads as a float.
func float(v float64) string {
	if v == math.Trunc(v) {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprint(v)
}

// exprs is expr-lang: one program a policy, one machine for all.
type exprs struct {
	programs []*vm.Program
	machine  vm.VM
}

func newExpr(rules []rule) (*exprs, error) {
	e := &exprs{}
	env := newAsk("", "", 0, 0, false).attributes
	for _, r := range rules {
		p, err := expr.Compile(r.text("!", "channel startsWith %q"), expr.Env(env), expr.AsBool())
		if err != nil {
			return nil, fmt.Errorf("compile: %w", err)
		}
		e.programs = append(e.programs, p)
	}
	return e, nil
}

func (e *exprs) decide(a *ask) int {
	for i, p := range e.programs {
		yes, err := e.machine.Run(p, a.attributes)
		if err != nil {
			panic(err)
		}
		if yes.(bool) {
			return i
		}
	}
	return -1
}

// cels is cel-go: one program a policy, one activation an ask.
type cels struct {
	programs []cel.Program
}

func newCEL(rules []rule) (*cels, error) {
	env, err := cel.NewEnv(
		cel.Variable("intent", cel.StringType), cel.Variable("channel", cel.StringType),
		cel.Variable("wait", cel.DoubleType), cel.Variable("hour", cel.DoubleType), cel.Variable("vip", cel.BoolType),
	)
	if err != nil {
		return nil, err
	}
	c := &cels{}
	for _, r := range rules {
		compiled, issues := env.Compile(r.text("!", "channel.startsWith(%q)"))
		if issues.Err() != nil {
			return nil, issues.Err()
		}
		p, err := env.Program(compiled, cel.EvalOptions(cel.OptOptimize))
		if err != nil {
			return nil, err
		}
		c.programs = append(c.programs, p)
	}
	return c, nil
}

func (c *cels) decide(a *ask) int {
	activation, err := cel.NewActivation(a.attributes)
	if err != nil {
		panic(err)
	}
	for i, p := range c.programs {
		yes, _, err := p.Eval(activation)
		if err != nil {
			panic(err)
		}
		if yes.Value().(bool) {
			return i
		}
	}
	return -1
}
