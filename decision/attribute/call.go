package attribute

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/function"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/pipeline/event"
)

// call asks the functions: first all those whose arguments are known, then those
// that wait for the answers of these.
func (s *search) call(ctx context.Context) {
	if s.r.deps.Functions == nil {
		for i := range s.asked {
			s.fail(s.asked[i].name, "functions are not called here")
		}
		return
	}
	for waiting := s.asked; len(waiting) > 0; {
		var now, later []asked
		for _, one := range waiting {
			if s.waitsFor(&one, waiting) {
				later = append(later, one)
			} else {
				now = append(now, one)
			}
		}
		if len(now) == 0 {
			for i := range later {
				s.fail(later[i].name, "its arguments are made of each other's values")
			}
			return
		}
		s.callAll(ctx, now)
		waiting = later
	}
}

// waitsFor reports whether an argument is the value of a function that is yet to be
// asked.
func (s *search) waitsFor(one *asked, waiting []asked) bool {
	for _, need := range one.of.Needs() {
		if slices.ContainsFunc(waiting, func(other asked) bool { return other.name == need }) {
			if _, brought := requestValue(s.q.Request, need); !brought {
				return true
			}
		}
	}
	return false
}

func (s *search) callAll(ctx context.Context, list []asked) {
	requests, of := make([]function.Request, 0, len(list)), make([]*asked, 0, len(list))
	for i := range list {
		a := &list[i].of
		fn, ok := s.r.deps.Catalog.Function(s.q.Account, a.Function)
		if !ok {
			s.fail(list[i].name, "function "+a.Function+" does not exist")
			continue
		}
		requests = append(requests, function.Request{
			Function: fn, Attribute: a.Name, Path: a.Path, Arguments: a.Bind(s.lookup),
		})
		of = append(of, &list[i])
	}
	if len(requests) == 0 {
		return
	}
	for i, res := range s.r.deps.Functions.CallAll(ctx, s.q.Account, requests) {
		s.took(of[i], &res)
	}
}

// took takes what a function answered.
func (s *search) took(one *asked, res *function.Result) {
	out := s.out()
	if s.guarded(one) {
		// What a function says of its failure may repeat what it was asked.
		res.Call.Detail = ""
		s.derived[one.name] = true
	}
	out.Calls = append(out.Calls, res.Call)
	if failed(&res.Call) && !res.Call.Fallback {
		s.fail(one.name, "function "+res.Call.Function+": "+cmp.Or(res.Call.Detail, strings.ToLower(string(res.Call.Result))))
		return
	}
	if res.Value == nil {
		return
	}
	if err := one.of.Fits(res.Value); err != nil {
		s.fail(one.name, "function "+res.Call.Function+": its value "+err.Error())
		return
	}
	if v, ok := function.Select(res.Value, one.rest); ok {
		s.put(one.name, v, sourceFunction)
		if res.Call.Age > 0 {
			out.Ages[one.name] = res.Call.Age
		}
	}
}

// guarded reports whether the attribute, an argument of its function, or what that
// argument was made of is personal.
func (s *search) guarded(one *asked) bool {
	if s.isPersonal(one.name) {
		return true
	}
	return slices.ContainsFunc(one.of.Needs(), func(need string) bool {
		return s.isPersonal(need) || slices.ContainsFunc(s.asked, func(other asked) bool {
			return s.derived[other.name] && (other.name == need || strings.HasPrefix(need, other.of.Name+"."))
		})
	})
}

func (s *search) isPersonal(name string) bool {
	return decision.NamesPersonal(s.r.personalOf(s.q.Account), name) ||
		s.answer != nil && decision.NamesPersonal(s.answer.Redact, name)
}

func failed(c *event.Call) bool { return c.Result != event.CallOK && c.Result != event.CallCached }

// lookup gives arguments their values: what the request brought, else what was
// found.
func (s *search) lookup(name string) (any, bool) {
	if s.hidden(name) {
		return nil, false
	}
	if v, ok := requestValue(s.q.Request, name); ok {
		return v, true
	}
	name = canonical(name)
	if s.answer == nil {
		return nil, false
	}
	v, ok := s.answer.Values[name]
	return v, ok
}

// requestValue finds what a request says under the names that policies use.
func requestValue(r *decision.Request, name string) (any, bool) {
	text := ""
	switch name {
	case "channel", "orchestrator.channel":
		text = r.Channel
	case "intent", "orchestrator.intent":
		text = r.Intent
	case "user_message", "orchestrator.userMessage":
		text = r.UserMessage
	case "conversation_id", "conversation.conversationId":
		text = r.ConversationID
	case "consumer_id", "conversation.consumerId":
		text = r.ConsumerID
	case "visitor_id":
		text = r.VisitorID
	case "session_id", "conversation.groupId":
		text = r.SessionID
	}
	if text != "" {
		return text, true
	}
	v := policy.Lookup(r.Attributes, name)
	return v, v != nil
}
