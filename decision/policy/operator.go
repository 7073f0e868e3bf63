package policy

import "strings"

// Operator compares an attribute with a value.
type Operator string

// The operators, in canonical spelling.
const (
	Equal          Operator = "equal"
	NotEqual       Operator = "not_equal"
	Less           Operator = "less_than"
	LessOrEqual    Operator = "less_than_or_equal"
	Greater        Operator = "greater_than"
	GreaterOrEqual Operator = "greater_than_or_equal"
	In             Operator = "in"
	NotIn          Operator = "not_in"
	Contains       Operator = "contains"
	StartsWith     Operator = "starts_with"
	EndsWith       Operator = "ends_with"
	Matches        Operator = "matches"
	Exists         Operator = "exists"
	Between        Operator = "between"
	AnyOf          Operator = "any_of" // a list or a value has one of the right side
	AllOf          Operator = "all_of" // a list or a value has all of the right side
)

// Operators lists every operator in documentation order.
func Operators() []Operator {
	return []Operator{
		Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual,
		In, NotIn, AnyOf, AllOf, Contains, StartsWith, EndsWith, Matches, Exists, Between,
	}
}

// ParseOperator reads an operator in canonical form or in one of the spellings
// that other systems use: any case, "==", "eq", "EQUALS", "IS_IN", "startsWith".
func ParseOperator(s string) (Operator, bool) {
	folded := strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(s))
	switch folded {
	case "equal", "equals", "eq", "==", "=", "is":
		return Equal, true
	case "notequal", "notequals", "ne", "neq", "!=", "<>", "isnot":
		return NotEqual, true
	case "lessthan", "lt", "<":
		return Less, true
	case "lessthanorequal", "lte", "le", "<=":
		return LessOrEqual, true
	case "greaterthan", "gt", ">":
		return Greater, true
	case "greaterthanorequal", "gte", "ge", ">=":
		return GreaterOrEqual, true
	}
	return parseSetOperator(folded)
}

func parseSetOperator(folded string) (Operator, bool) {
	switch folded {
	case "in", "isin", "oneof":
		return In, true
	case "notin", "isnotin", "noneof":
		return NotIn, true
	case "anyof", "hasany", "hasanyof", "containsany":
		return AnyOf, true
	case "allof", "hasall", "hasallof", "containsall":
		return AllOf, true
	case "contains", "has":
		return Contains, true
	case "startswith", "prefix", "hasprefix":
		return StartsWith, true
	case "endswith", "suffix", "hassuffix":
		return EndsWith, true
	case "matches", "match", "regex", "regexp", "=~":
		return Matches, true
	case "exists", "isset", "present":
		return Exists, true
	case "between", "range":
		return Between, true
	}
	return "", false
}

// operatorNames lists the operators for people.
func operatorNames() string {
	names := make([]string, len(Operators()))
	for i, op := range Operators() {
		names[i] = string(op)
	}
	return strings.Join(names, ", ")
}
