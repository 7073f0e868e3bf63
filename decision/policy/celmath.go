package policy

import (
	"math"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	celref "cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// power is math.pow(x, y), which CEL's own library does not have: x to the power of y,
// at the cost of one call.
func power() cel.EnvOption {
	var overloads []cel.FunctionOpt
	for _, x := range []*cel.Type{cel.DoubleType, cel.IntType} {
		for _, y := range []*cel.Type{cel.DoubleType, cel.IntType} {
			overloads = append(overloads, cel.Overload(
				"math_pow_"+x.String()+"_"+y.String(), []*cel.Type{x, y}, cel.DoubleType,
				cel.BinaryBinding(func(x, y celref.Val) celref.Val { return types.Double(math.Pow(double(x), double(y))) }),
			))
		}
	}
	return cel.Function("math.pow", overloads...)
}

func double(v celref.Val) float64 {
	switch n := v.(type) {
	case types.Double:
		return float64(n)
	case types.Int:
		return float64(n)
	}
	return math.NaN()
}

// finite makes calls fail whose result is no finite number: a division by zero, or the
// root of a negative number, must not compare as if it were one.
func finite(step interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	if call, ok := step.(interpreter.InterpretableCall); ok {
		return finiteCall{call}, nil
	}
	return step, nil
}

type finiteCall struct{ interpreter.InterpretableCall }

// Exec implements interpreter.InterpretableV2.
func (c finiteCall) Exec(frame *interpreter.ExecutionFrame) celref.Val {
	return c.check(c.InterpretableCall.Exec(frame))
}

// Eval implements interpreter.Interpretable.
func (c finiteCall) Eval(vars cel.Activation) celref.Val {
	return c.check(c.InterpretableCall.Eval(vars))
}

func (c finiteCall) check(v celref.Val) celref.Val {
	if d, ok := v.(types.Double); ok && (math.IsNaN(float64(d)) || math.IsInf(float64(d), 0)) {
		return types.NewErr("the result of %s is not a finite number", strings.Trim(c.Function(), "_"))
	}
	return v
}
