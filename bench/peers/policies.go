package main

import (
	"fmt"
	"time"
)

// engines makes every engine for the rules, ours first.
func engines(rules []rule) (names []string, all []decider, err error) {
	o, err := newOurs(rules)
	if err != nil {
		return nil, nil, err
	}
	a, err := newOPA(rules)
	if err != nil {
		return nil, nil, err
	}
	e, err := newExpr(rules)
	if err != nil {
		return nil, nil, err
	}
	c, err := newCEL(rules)
	if err != nil {
		return nil, nil, err
	}
	return []string{"usher", "linear Go", "OPA", "expr", "cel-go"}, []decider{o, linear(rules), a, e, c}, nil
}

// agree checks that all engines give the same answer.
func agree(names []string, all []decider, asks []*ask) (matched int, err error) {
	for _, a := range asks {
		want := all[0].decide(a)
		if want >= 0 {
			matched++
		}
		for i, d := range all {
			if got := d.decide(a); got != want {
				return matched, fmt.Errorf("%s answers %d, %s answers %d to %v", names[0], want, names[i], got, a.attributes)
			}
		}
	}
	return matched, nil
}

func benchPolicies(rounds int, slice time.Duration) ([]row, error) {
	const many, few = 1000, 10
	rules, asks := lastMatches(many)
	names, all, err := engines(rules)
	if err != nil {
		return nil, err
	}
	if _, err := agree(names, all, asks); err != nil {
		return nil, err
	}
	fewRules, fewAsks := lastMatches(few)
	small, err := newOurs(fewRules)
	if err != nil {
		return nil, err
	}
	o := all[0].(*ours)
	side := []contestant{
		{"usher", loop(asks, func(a *ask) { o.eval(a) })},
		{"usher, 10 policies", loop(fewAsks, func(a *ask) { small.eval(a) })},
	}
	for i, d := range all[1:] {
		side = append(side, contestant{names[i+1], loop(asks, func(a *ask) { d.decide(a) })})
	}
	res := duel(rounds, slice, side)
	us := res[0]
	rows := []row{{
		what: "policy eval, 1,000 policies", ours: nsText(us.ns), goal: "0 allocs", met: us.allocs < 0.01,
		note: fmt.Sprintf("%.2f allocs per decision", us.allocs),
	}}
	for _, r := range res[2:] {
		one := row{what: "policy eval, 1,000 policies / " + r.name, ours: nsText(us.ns), theirs: nsText(r.ns), ratio: r.ratio}
		switch r.name {
		case "OPA":
			one.goal, one.met = "<= 1/50", r.ratio <= 1.0/50
		case "linear Go":
			one.goal, one.met = "<= 1", r.ratio <= 1
		}
		rows = append(rows, one)
	}
	return append(rows,
		row{what: "policy scaling, 1,000 / 10 policies", ours: nsText(us.ns), theirs: nsText(res[1].ns), ratio: res[1].ratio, goal: "<= 1.5", met: res[1].ratio <= 1.5},
	), nil
}

// loop runs f over the asks in turn.
func loop[T any](in []T, f func(T)) func(n int) {
	at := 0
	return func(n int) {
		for range n {
			f(in[at])
			if at++; at == len(in) {
				at = 0
			}
		}
	}
}
