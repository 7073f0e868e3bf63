package golearn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sjwhitworth/golearn/base"
	"github.com/sjwhitworth/golearn/trees"
	"go.uber.org/goleak"

	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/trainer"
)

// childVariable makes the test's own binary a child that does something.
const childVariable = "GOLEARN_CHILD"

func TestMain(m *testing.M) {
	switch deed := os.Getenv(childVariable); deed {
	case "":
		goleak.VerifyTestMain(m)
	case "work":
		end(RunChild())
	default:
		end(serve(os.Stdin, os.Stdout, deeds()[deed]))
	}
}

func end(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// private stands for an attribute's value in golearn's words.
const private = "value ada@example.org of attribute mail"

// deeds are what children can do wrong.
func deeds() map[string]func(*request) (*response, error) {
	return map[string]func(*request) (*response, error){
		"panic": func(*request) (*response, error) {
			// golearn's own, for a table without columns.
			new(trees.InformationGainRuleGenerator).GetSplitRuleFromSelection(nil, base.NewDenseInstances())
			return nil, nil
		},
		"tell": func(*request) (*response, error) { panic(private) },
		"fail": func(*request) (*response, error) { return nil, errors.New(private) },
		"crash": func(*request) (*response, error) {
			done := make(chan struct{})
			go func() { // where nobody can recover it
				defer close(done)
				panic(private)
			}()
			<-done
			return &response{}, nil
		},
		"dawdle": func(*request) (*response, error) {
			for n := 0; ; n++ {
				if n < 0 {
					return nil, nil
				}
			}
		},
		"eat": func(*request) (*response, error) {
			var kept [][]byte
			for range 1 << 12 {
				b := make([]byte, 1<<20)
				for i := 0; i < len(b); i += 4096 {
					b[i] = 1
				}
				kept = append(kept, b)
			}
			return nil, fmt.Errorf("%d MiB were to be had", len(kept))
		},
	}
}

// usual limits of children that have no fault.
func usual() Limits { return Limits{Wall: 30 * time.Second, Memory: 512 << 20} }

// child runs the test's binary as a child.
func child(t *testing.T, deed string, l Limits) *Runner {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &Runner{Command: []string{exe}, Limits: l, Environ: []string{childVariable + "=" + deed}}
}

// Whatever becomes of the child, here it is an error.
func TestChildrenThatFail(t *testing.T) {
	for _, c := range []struct {
		deed   string
		limits Limits
		is     error
		says   string
	}{
		{deed: "panic", limits: usual(), is: ErrPanic},
		{deed: "tell", limits: usual(), is: ErrPanic},
		{deed: "fail", limits: usual(), is: ErrChild},
		{deed: "crash", limits: usual(), is: ErrChild, says: "exit status 2"},
		{deed: "dawdle", limits: Limits{Wall: 300 * time.Millisecond, Memory: 256 << 20}, is: ErrTime},
		{deed: "eat", limits: Limits{Wall: 20 * time.Second, Memory: 256 << 20}, is: ErrMemory},
	} {
		t.Run(c.deed, func(t *testing.T) {
			start := time.Now()
			answer, err := child(t, c.deed, c.limits).run(t.Context(), &request{})
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "ada") {
				t.Errorf("the answer is %+v, %v", answer, err)
			}
			if took := time.Since(start); took > 15*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	if _, err := (&Runner{Command: []string{"/nowhere/usher"}, Limits: usual()}).run(t.Context(), &request{}); err == nil {
		t.Error("a program that is not there gave no error")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := child(t, "dawdle", usual()).run(ctx, &request{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's end gave %v", err)
	}
}

// logged are decisions whose rewards depend on a condition that no single attribute
// shows: gold callers who cancel are best sent to retention.
func logged(n int, seed uint64) []*trainer.Row {
	r := rand.New(rand.NewPCG(seed, 7))
	options := []model.Option{{Key: "sales"}, {Key: "retention"}, {Key: "care"}}
	rows := make([]*trainer.Row, n)
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for i, f := range sample(n, seed) {
		row := &trainer.Row{
			ID: fmt.Sprint("d", i), Time: at.Add(time.Duration(i) * time.Minute), Facts: *f, Options: options,
			Chosen: options[r.IntN(3)].Key, Propensity: 1.0 / 3,
		}
		right := "sales"
		switch {
		case (f.Intent == "cancel" || f.Intent == "complaint") && f.Attributes["tier"] == "gold":
			right = "retention"
		case f.Intent == "other":
			right = "care"
		}
		if chance := r.Float64(); row.Chosen == right && chance < 0.8 || chance < 0.2 {
			row.Reward = 1
		}
		rows[i] = row
	}
	return rows
}

func TestChallenger(t *testing.T) {
	rows := logged(3000, 5)
	c := &Challenger{Runner: child(t, "work", usual()), Config: DefaultChallengerConfig(), Now: time.Now}
	fit := c.Challenge(t.Context(), model.DefaultConfig(), rows)
	if fit.Fault != "" || fit.Rows != 2400 || fit.HeldOutRows != 600 || fit.Nodes < 20 {
		t.Fatalf("the challenger ends with %+v", fit)
	}
	// The noise alone costs 0.16.
	if fit.Loss > 0.19 || fit.Constant < 0.22 || fit.Ours <= 0 || fit.GainLower > fit.Gain || fit.Better != (fit.GainLower > 0) {
		t.Errorf("the losses are %+v", fit)
	}
	again := c.Challenge(t.Context(), model.DefaultConfig(), rows)
	again.Time, again.Seconds = fit.Time, fit.Seconds
	if !reflect.DeepEqual(again, fit) {
		t.Errorf("the same rows gave %+v and %+v", fit, again)
	}
	for deed, says := range map[string]string{
		"panic": faultPanic, "tell": faultPanic, "crash": faultChild, "fail": faultChild, "eat": faultMemory, "dawdle": faultTime,
	} {
		limits := Limits{Wall: time.Minute, Memory: 128 << 20} // no machine is too busy for these
		if deed == "dawdle" {
			limits.Wall = time.Second
		}
		c.Runner = child(t, deed, limits)
		if fit := c.Challenge(t.Context(), model.DefaultConfig(), rows); fit.Fault != says || fit.Better {
			t.Errorf("a child that does %s gives %+v", deed, fit)
		}
	}
	if fit := c.Challenge(t.Context(), model.DefaultConfig(), rows[:100]); fit.Fault != faultFewRows {
		t.Errorf("few rows give %+v", fit)
	}
}
