package foreign_test

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policy/foreign"
)

// facts are what a random conversation is like. All are there: what a missing one
// means is not LivePerson's to say.
type facts struct {
	numbers map[string]float64
	texts   map[string]string
	flags   map[string]bool
	now     time.Time
}

// said is a random expression with what it means: the text is LivePerson's, the
// functions are the reference.
type said[V any] struct {
	text  string
	value func(*facts) V
}

var (
	numberNames = []string{"crm.a", "crm.b", "conversation.minutesSincePreviousMessage"}
	textNames   = []string{"orchestrator.intent", "crm.tier"}
	flagNames   = []string{"custom.vip", "custom.open"}
	words       = []string{"gold", "silver", "it's"}
)

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `\'`) + "'" }

func numbers(depth int) *rapid.Generator[said[float64]] {
	return rapid.Custom(func(t *rapid.T) said[float64] {
		if depth == 0 || rapid.Bool().Draw(t, "leaf") {
			if rapid.Bool().Draw(t, "constant") {
				v := float64(rapid.IntRange(0, 20).Draw(t, "value")) / 2
				return said[float64]{strconv.FormatFloat(v, 'f', -1, 64), func(*facts) float64 { return v }}
			}
			name := rapid.SampledFrom(numberNames).Draw(t, "name")
			return said[float64]{name, func(f *facts) float64 { return f.numbers[name] }}
		}
		a := numbers(depth-1).Draw(t, "a")
		b := numbers(depth-1).Draw(t, "b")
		switch op := rapid.SampledFrom([]string{"+", "-", "*", "/", "%", "^", "sqrt", "neg"}).Draw(t, "op"); op {
		case "^":
			e := numbers(0).Draw(t, "exponent")
			return said[float64]{fmt.Sprintf("((%s) ^ %s)", a.text, e.text), func(f *facts) float64 { return calculated(op, a.value(f), e.value(f)) }}
		case "sqrt":
			return said[float64]{"sqrt(" + a.text + ")", func(f *facts) float64 { return calculated(op, a.value(f), 0) }}
		case "neg":
			return said[float64]{"-(" + a.text + ")", func(f *facts) float64 { return 0 - a.value(f) }}
		default:
			return said[float64]{"(" + a.text + " " + op + " " + b.text + ")", func(f *facts) float64 { return calculated(op, a.value(f), b.value(f)) }}
		}
	})
}

// calculated is NaN for everything that is not finite, and whatever is made of it.
func calculated(op string, a, b float64) float64 {
	out := 0.0
	switch op {
	case "+":
		out = a + b
	case "-":
		out = a - b
	case "*":
		out = a * b
	case "/":
		out = a / b
	case "^":
		out = math.Pow(a, b)
	case "sqrt":
		out = math.Sqrt(a)
	default:
		out = a - b*math.Trunc(a/b)
	}
	if math.IsNaN(a) || math.IsNaN(b) || math.IsInf(out, 0) || op == "%" && b == 0 {
		return math.NaN()
	}
	return out
}

// truth orders FALSE, UNKNOWN and TRUE, so that and is the least, or the greatest.
type truth int

func (v truth) String() string { return [...]string{"FALSE", "ERROR", "TRUE"}[v] }

func truthOf(b bool) truth {
	if b {
		return 2
	}
	return 0
}

// comparisons are UNKNOWN where there is no number to compare with.
func comparisons() *rapid.Generator[said[truth]] {
	return rapid.Custom(func(t *rapid.T) said[truth] {
		if rapid.IntRange(0, 4).Draw(t, "calculates") > 0 {
			c := plainComparisons().Draw(t, "plain")
			return said[truth]{c.text, func(f *facts) truth { return truthOf(c.value(f)) }}
		}
		a, b := numbers(2).Draw(t, "left"), numbers(2).Draw(t, "right")
		op := rapid.SampledFrom([]string{"==", "!=", "<", "<=", ">", ">="}).Draw(t, "op")
		return said[truth]{a.text + " " + op + " " + b.text, func(f *facts) truth {
			x, y := a.value(f), b.value(f)
			if math.IsNaN(x) || math.IsNaN(y) {
				return 1
			}
			return truthOf(ordered(op, x, y))
		}}
	})
}

func plainComparisons() *rapid.Generator[said[bool]] {
	return rapid.Custom(func(t *rapid.T) said[bool] {
		switch rapid.IntRange(0, 3).Draw(t, "form") {
		case 0:
			name := rapid.SampledFrom(flagNames).Draw(t, "flag")
			return said[bool]{name, func(f *facts) bool { return f.flags[name] }}
		case 1:
			name, list := rapid.SampledFrom(textNames).Draw(t, "text"), rapid.SliceOfN(rapid.SampledFrom(words), 1, 3).Draw(t, "list")
			quoted := make([]string, len(list))
			for i, w := range list {
				quoted[i] = quote(w)
			}
			in := func(f *facts) bool { return slices.Contains(list, f.texts[name]) }
			return rapid.SampledFrom([]said[bool]{
				{name + " in (" + strings.Join(quoted, ", ") + ", 'x')", in},
				{name + " in [" + strings.Join(quoted, ",") + "]", in},
				{name + " == (" + strings.Join(quoted, " || ") + ")", in},
				{name + " != (" + strings.Join(quoted, " || ") + ")", func(f *facts) bool { return !in(f) }},
			}).Draw(t, "membership")
		case 2:
			a, w := rapid.SampledFrom(textNames).Draw(t, "text"), rapid.SampledFrom(words).Draw(t, "word")
			return rapid.SampledFrom([]said[bool]{
				{a + " == " + quote(w), func(f *facts) bool { return f.texts[a] == w }},
				{quote(w) + " != " + a, func(f *facts) bool { return f.texts[a] != w }},
				{"crm.tier == orchestrator.intent", func(f *facts) bool { return f.texts["crm.tier"] == f.texts["orchestrator.intent"] }},
			}).Draw(t, "equality")
		default:
			return timeRanges().Draw(t, "clock")
		}
	})
}

func ordered(op string, a, b float64) bool {
	switch op {
	case "==":
		return a == b
	case "!=":
		return a != b
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	default:
		return a >= b
	}
}

// timeRanges are times and dates in UTC, where the reference is simple.
func timeRanges() *rapid.Generator[said[bool]] {
	return rapid.Custom(func(t *rapid.T) said[bool] {
		if rapid.Bool().Draw(t, "dates") {
			from := rapid.IntRange(1, 20).Draw(t, "from")
			to := from + rapid.IntRange(0, 8).Draw(t, "days")
			year := rapid.SampledFrom([]string{"26", "2026"}).Draw(t, "year")
			return said[bool]{fmt.Sprintf("isDateRange('11/%d/%s','11/%02d/%s','UTC')", from, year, to, year), func(f *facts) bool {
				return f.now.Month() == time.November && f.now.Year() == 2026 && f.now.Day() >= from && f.now.Day() <= to
			}}
		}
		from := rapid.IntRange(0, 22).Draw(t, "from")
		to := rapid.IntRange(from+1, 23).Draw(t, "to")
		return said[bool]{fmt.Sprintf("isTimeRange('%02d:00:00','%02d:30:00','UTC',['MON','TUE','WED'])", from, to), func(f *facts) bool {
			minute := f.now.Hour()*60 + f.now.Minute()
			return minute >= from*60 && minute < to*60+30 && f.now.Weekday() >= time.Monday && f.now.Weekday() <= time.Wednesday
		}}
	})
}

func conditions(depth int) *rapid.Generator[said[truth]] {
	return rapid.Custom(func(t *rapid.T) said[truth] {
		if depth == 0 {
			return comparisons().Draw(t, "comparison")
		}
		a := conditions(depth-1).Draw(t, "a")
		b := conditions(depth-1).Draw(t, "b")
		return rapid.SampledFrom([]said[truth]{
			{"(" + a.text + ") and (" + b.text + ")", func(f *facts) truth { return min(a.value(f), b.value(f)) }},
			{"((" + a.text + ") or (" + b.text + "))", func(f *facts) truth { return max(a.value(f), b.value(f)) }},
			{"not (" + a.text + ")", func(f *facts) truth { return 2 - a.value(f) }},
		}).Draw(t, "join")
	})
}

// TestMeaning: on random expressions and conversations an imported expression is
// TRUE exactly when LivePerson's meaning of the text is,
// and fails where that compares with what is no number.
func TestMeaning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := conditions(rapid.IntRange(0, 2).Draw(t, "depth")).Draw(t, "expression")
		condition, _, err := foreign.Expression(e.text)
		if err != nil {
			t.Fatalf("%s: %v", e.text, err)
		}
		f := someFacts(t)
		p := &policy.Policy{Name: "p", Enabled: true, When: condition, Effect: policy.Effect{Deny: &policy.Deny{Targets: []string{"x"}}}}
		set := policy.Compile([]*policy.Policy{p}, 1)
		in := set.NewInput()
		in.Load(f.policyFacts())
		trace := set.Trace(in, -1)
		want := e.value(f)
		if got := string(trace[0].State); got != want.String() {
			t.Fatalf("%s with %+v is %s, want %s\n%+v", e.text, f, got, want, trace[0])
		}
	})
}

func someFacts(t *rapid.T) *facts {
	f := &facts{numbers: map[string]float64{}, texts: map[string]string{}, flags: map[string]bool{}}
	for _, name := range numberNames {
		f.numbers[name] = float64(rapid.IntRange(-10, 20).Draw(t, name)) / 2
	}
	for _, name := range textNames {
		f.texts[name] = rapid.SampledFrom(words).Draw(t, name)
	}
	for _, name := range flagNames {
		f.flags[name] = rapid.Bool().Draw(t, name)
	}
	f.now = time.Date(2026, 11, 1, 0, rapid.IntRange(0, 30*24*60).Draw(t, "minute"), 0, 0, time.UTC)
	return f
}

func (f *facts) policyFacts() *policy.Facts {
	attributes := map[string]any{}
	for k, v := range f.numbers {
		attributes[k] = v
	}
	for k, v := range f.texts {
		attributes[k] = v
	}
	for k, v := range f.flags {
		attributes[k] = v
	}
	return &policy.Facts{Attributes: attributes, Now: f.now}
}

// TestArithmeticIsAffordable: what imports make of plain arithmetic passes the check
// that publishing makes.
func TestArithmeticIsAffordable(t *testing.T) {
	for _, text := range []string{"a*a+b*b == 25", "a ^ 2 + b ^ 2 > 3", "sqrt(a*a+b*b) == 5", "(a % 3) + (b / c) - d ^ 16 > 0"} {
		when, _, err := foreign.Expression(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		p := &policy.Policy{Name: "p", Enabled: true, When: when, Effect: policy.Effect{Rank: &policy.Rank{}}}
		if found := policy.Check([]*policy.Policy{p}, nil); hasErrors(found) {
			t.Errorf("%s: %v", text, found)
		}
	}
}

// TestPowers: a power binds to the right and before the sign in front of it.
func TestPowers(t *testing.T) {
	for text, want := range map[string]string{
		"2 ^ a == 8": "TRUE", "2 ^ 2 ^ a == 256": "TRUE", "a ^ 0.5 > 1.7": "TRUE", "a ^ -1 < 0.34": "TRUE",
		"a / 0 > 1": "ERROR", "sqrt(0 - a) < 1": "ERROR", "not (a / 0 > 1)": "ERROR", "a / 0 > 1 or a == 3": "TRUE",
	} {
		when, _, err := foreign.Expression(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		set := policy.Compile([]*policy.Policy{{Name: "p", Enabled: true, When: when, Effect: policy.Effect{Rank: &policy.Rank{}}}}, 1)
		in := set.NewInput()
		in.Load(&policy.Facts{Attributes: map[string]any{"a": 3.0}})
		if trace := set.Trace(in, -1)[0]; string(trace.State) != want {
			t.Errorf("%s is %s, want %s: %+v", text, trace.State, want, trace)
		}
	}
	for _, text := range []string{"-2 ^ a == -8", "2 ^ 3 ^ a == 512"} {
		if _, _, err := foreign.Expression(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// hasErrors reports whether one of the problems is an error.
func hasErrors(problems []policy.Problem) bool {
	return slices.ContainsFunc(problems, func(p policy.Problem) bool { return p.Severity == policy.Error })
}
