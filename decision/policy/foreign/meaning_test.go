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
			n := rapid.IntRange(-2, 3).Draw(t, "power")
			return said[float64]{fmt.Sprintf("(%s) ^ %d", a.text, n), func(f *facts) float64 { return power(a.value(f), n) }}
		case "sqrt":
			return said[float64]{"sqrt(" + a.text + ")", func(f *facts) float64 { return math.Sqrt(a.value(f)) }}
		case "neg":
			return said[float64]{"-(" + a.text + ")", func(f *facts) float64 { return 0 - a.value(f) }}
		default:
			return said[float64]{"(" + a.text + " " + op + " " + b.text + ")", func(f *facts) float64 { return calculated(op, a.value(f), b.value(f)) }}
		}
	})
}

func power(base float64, n int) float64 {
	out := 1.0
	for range max(n, -n) {
		out *= base
	}
	if n < 0 {
		return 1 / out
	}
	return out
}

func calculated(op string, a, b float64) float64 {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "/":
		return a / b
	default:
		return a - b*math.Trunc(a/b)
	}
}

func comparisons() *rapid.Generator[said[bool]] {
	return rapid.Custom(func(t *rapid.T) said[bool] {
		switch rapid.IntRange(0, 4).Draw(t, "form") {
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
		case 3:
			return timeRanges().Draw(t, "clock")
		default:
			a, b := numbers(2).Draw(t, "left"), numbers(2).Draw(t, "right")
			op := rapid.SampledFrom([]string{"==", "!=", "<", "<=", ">", ">="}).Draw(t, "op")
			return said[bool]{a.text + " " + op + " " + b.text, func(f *facts) bool { return ordered(op, a.value(f), b.value(f)) }}
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

func conditions(depth int) *rapid.Generator[said[bool]] {
	return rapid.Custom(func(t *rapid.T) said[bool] {
		if depth == 0 {
			return comparisons().Draw(t, "comparison")
		}
		a := conditions(depth-1).Draw(t, "a")
		b := conditions(depth-1).Draw(t, "b")
		return rapid.SampledFrom([]said[bool]{
			{"(" + a.text + ") and (" + b.text + ")", func(f *facts) bool { return a.value(f) && b.value(f) }},
			{"((" + a.text + ") or (" + b.text + "))", func(f *facts) bool { return a.value(f) || b.value(f) }},
			{"not (" + a.text + ")", func(f *facts) bool { return !a.value(f) }},
		}).Draw(t, "join")
	})
}

// TestMeaning: on random expressions and conversations an imported expression is
// TRUE exactly when LivePerson's meaning of the text is.
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
		want := "FALSE"
		if e.value(f) {
			want = "TRUE"
		}
		if got := string(trace[0].State); got != want {
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
		if found := policy.Check([]*policy.Policy{p}, nil); policy.HasErrors(found) {
			t.Errorf("%s: %v", text, found)
		}
	}
}
