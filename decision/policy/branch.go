package policy

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/usherhq/usher/pipeline/event"
)

// Limits of effects.
const (
	maxArms   = 100
	maxSteps  = 50
	maxExpiry = 30 * 24 * time.Hour
	minExpiry = 5 * time.Second // shorter ones are doubtful
)

// rule compiles a policy; its faults are in c.check.
func (c *compiler) rule(p *Policy) *Rule {
	var schedule *dates
	if p.Schedule != nil {
		schedule = compileDates(&DateWindow{From: p.Schedule.From, To: p.Schedule.To, Zone: p.Schedule.Zone}, "schedule", &c.check)
		if !c.now.IsZero() && schedule.over(c.now) {
			c.check.warn(CodeEnded, "schedule.to", "is past: the policy is not in force any more")
		}
	}
	r := c.branch(p, p.When, &p.Effect, "")
	r.schedule = schedule
	if p.Exception != nil {
		r.exception = c.branch(p, p.Exception.When, &p.Exception.Effect, "exception.")
		r.exception.excepts = true
		// Either branch can match, so the policy needs only what both need.
		r.needs = eitherNeeds([][]need{r.exception.needs, r.needs})
	}
	if p.Name == DefaultName {
		c.defaultPolicy(p)
	}
	return r
}

// defaultPolicy checks what the account's last word must be: always there, and an
// answer.
func (c *compiler) defaultPolicy(p *Policy) {
	const why = "the default policy is asked last, always, so it can have none"
	if p.When != nil {
		c.check.fail(CodeDefaultPolicy, "when", why)
	}
	if p.Exception != nil {
		c.check.fail(CodeDefaultPolicy, "exception", why)
	}
	if p.Schedule != nil {
		c.check.fail(CodeDefaultPolicy, "schedule", why)
	}
	if !p.Enabled {
		c.check.fail(CodeDefaultPolicy, "enabled", "is false; the default policy cannot be disabled, delete it")
	}
	if !p.Effect.Terminal() && p.Effect.Deny != nil {
		c.check.fail(CodeDefaultPolicy, "effect.deny", "answers nothing; the default policy needs an effect that answers")
	}
}

// branch compiles a condition and an effect; prefix is where they stand.
func (c *compiler) branch(p *Policy, when *Condition, e *Effect, prefix string) *Rule {
	r := &Rule{policy: p, effect: e, state: event.True, terminal: e.Terminal()}
	n := c.condition(when, scope{path: prefix + "when"})
	r.leaves, r.needs = n.leaves, n.needs
	c.effect(r, e, prefix+"effect")
	r.test, r.decisive = withFills(n.test, r.leaves[len(n.leaves):]), len(r.leaves)
	c.steps(r, e.Steps, prefix+"effect.steps")
	return r
}

// withFills keeps a branch from matching when a template of its actions cannot be
// filled: half a message is worse than the next policy's answer.
func withFills(when test, filled []leaf) test {
	if len(filled) == 0 {
		return when
	}
	filled = slices.Clone(filled)
	return func(in *Input) truth {
		t := when(in)
		for i := 0; t == isTrue && i < len(filled); i++ {
			t = filled[i].test(in)
		}
		return t
	}
}

func (c *compiler) effect(r *Rule, e *Effect, path string) {
	c.oneOf(e, path)
	if e.Fixed != nil {
		c.fixed(r, e.Fixed, path+".fixed")
	}
	if e.Deny != nil {
		if len(e.Deny.Targets) == 0 && e.Deny.Where == nil {
			c.check.fail(CodeMissing, path+".deny", "names nobody; give targets or where")
		}
		r.deny = c.selection(e.Deny.Targets, e.Deny.Where, path+".deny")
		c.auditTargets(e.Deny.Targets, nil, path+".deny.targets")
	}
	if e.Rank != nil {
		c.rank(r, e.Rank, path+".rank")
	}
	if e.Split != nil {
		c.splits(r, e.Split, path+".split")
	}
}

// oneOf checks that the parts of an effect go together.
func (c *compiler) oneOf(e *Effect, path string) {
	var ends []string
	for name, there := range map[string]bool{"fixed": e.Fixed != nil, "rank": e.Rank != nil, "split": e.Split != nil, "steps": len(e.Steps) > 0} {
		if there {
			ends = append(ends, name)
		}
	}
	slices.Sort(ends)
	switch {
	case len(ends) == 0 && e.Deny == nil:
		c.check.fail(CodeMissing, path, "is empty; give one of fixed, deny, rank, split, steps")
	case len(ends) > 1:
		c.check.Add(path, "has %s at once; an effect is one of them", strings.Join(ends, " and "))
	case e.Fixed != nil && e.Deny != nil:
		c.check.Add(path, "has deny beside fixed; only rank, split and steps may stand beside it")
	}
}

func (c *compiler) fixed(r *Rule, f *Fixed, path string) {
	if len(f.Actions) == 0 {
		c.check.fail(CodeMissing, path+".actions", "is empty")
	}
	r.fixed = c.actions(r, f.Actions, path+".actions")
}

func (c *compiler) rank(r *Rule, k *Rank, path string) {
	r.rank = c.selection(k.Targets, k.Where, path)
	r.extra = c.actions(r, k.Actions, path+".actions")
	r.factors = c.levers(k.Levers, path+".levers")
	if len(k.Objective) > maxName {
		c.check.fail(CodeLimit, path+".objective", "is longer than %d bytes", maxName)
	}
	c.auditRank(k, path)
}

func (c *compiler) splits(r *Rule, s *Split, path string) {
	r.split = &split{by: c.splitKey(s.By, path+".by"), arms: make([]arm, len(s.Arms))}
	if len(s.Arms) == 0 || len(s.Arms) > maxArms {
		c.check.fail(CodeLimit, path+".arms", "has %d elements; 1 to %d are allowed", len(s.Arms), maxArms)
	}
	for i := range s.Arms {
		at := fmt.Sprintf("%s.arms[%d]", path, i)
		if w := s.Arms[i].Weight; !(w > 0) || math.IsInf(w, 0) {
			c.check.Add(at+".weight", "is %g; must be a positive number", w)
		}
		if len(s.Arms[i].Actions) == 0 {
			c.check.fail(CodeMissing, at+".actions", "is empty")
		}
		r.split.arms[i] = arm{weight: s.Arms[i].Weight, actions: c.actions(r, s.Arms[i].Actions, at+".actions")}
	}
}

// splitKey returns the slot of what a split goes by.
func (c *compiler) splitKey(by, path string) int {
	switch by {
	case "", ByConversation:
		return c.slot("conversation_id")
	case ByConsumer:
		return c.slot("consumer_id")
	}
	return c.attribute(by, scope{path: path}, "")
}

// steps compiles each step into a branch of its own, so that a template which
// cannot be filled costs its step and not the policy. What steps look at is traced
// with the policy's conditions.
func (c *compiler) steps(r *Rule, list []Step, path string) {
	if len(list) > maxSteps {
		c.check.fail(CodeLimit, path, "has %d elements; the limit is %d", len(list), maxSteps)
	}
	stays := -1 // the first step that answers for good
	for i := range list {
		s, at := &list[i], fmt.Sprintf("%s[%d]", path, i)
		if stays >= 0 {
			c.check.warn(CodeUnreachable, at, "is asked only when steps[%d] has nothing to offer, which has no expires_after and answers for good", stays)
		}
		e := &Effect{Fixed: s.Fixed, Rank: s.Rank, Split: s.Split}
		b := &Rule{policy: r.policy, effect: e, state: event.True, terminal: true}
		if e.Terminal() {
			c.effect(b, e, at)
		} else {
			c.check.fail(CodeMissing, at, "is empty; give one of fixed, rank, split")
		}
		b.test = withFills(alwaysTrue, b.leaves)
		out := step{rule: b, expiry: c.expiry(s.ExpiresAfter, at+".expires_after")}
		if s.SkipWhen != nil {
			n := c.condition(s.SkipWhen, scope{path: at + ".skip_when"})
			out.skip = n.test
			b.leaves = append(n.leaves, b.leaves...)
		}
		if stays < 0 && s.ExpiresAfter == "" && s.SkipWhen == nil && len(b.leaves) == 0 {
			stays = i
		}
		r.leaves = append(r.leaves, b.leaves...)
		r.steps = append(r.steps, out)
	}
}

func (c *compiler) expiry(text, path string) time.Duration {
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil || d <= 0 || d > maxExpiry:
		c.check.fail(CodeBadTime, path, "%q is not a time such as 30s or 2m, of at most %s", text, maxExpiry)
	case d < minExpiry:
		c.check.warn(CodeExpiryTooShort, path, "is %s; the bot asks again only after it, so a step should last %s or more", d, minExpiry)
	}
	return d
}

func (c *compiler) selection(targets []string, where *Condition, path string) *selection {
	s := &selection{}
	if len(targets) > maxList {
		c.check.fail(CodeLimit, path+".targets", "has %d elements; the limit is %d", len(targets), maxList)
	}
	for i, t := range targets {
		at := fmt.Sprintf("%s.targets[%d]", path, i)
		switch {
		case t == "":
			c.check.fail(CodeMissing, at, "is empty")
		case strings.Contains(t, "{{"):
			c.check.Add(at, "holds a template; use where with candidate.key and value_from")
		}
		if s.targets == nil {
			s.targets = map[string]struct{}{}
		}
		s.targets[t] = struct{}{}
	}
	if where != nil {
		s.where = c.condition(where, scope{path: path + ".where", candidate: true}).test
	}
	return s
}

// levers turns percentages into factors, in the order of their keys so that
// faults come out in one order.
func (c *compiler) levers(percent map[string]float64, path string) map[string]float64 {
	factors := make(map[string]float64, len(percent))
	for _, key := range sortedKeys(percent) {
		p := percent[key]
		if !(p >= MinLever && p <= MaxLever) {
			c.check.Add(fmt.Sprintf("%s[%q]", path, key), "is %g; must be %g to %g percent", p, MinLever, MaxLever)
		}
		factors[key] = 1 + p/100
	}
	return factors
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
