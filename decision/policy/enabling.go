package policy

import "slices"

// Enabling returns the set with the policy of this name enabled, to see what it
// would do; the set itself when it has no such policy, or it is enabled. It compiles
// the whole list anew.
func (s *Set) Enabling(name string) *Set {
	r := s.Find(name)
	if r == nil || r.policy.Enabled {
		return s
	}
	all := make([]*Policy, len(s.rules))
	for i := range s.rules {
		all[i] = s.rules[i].policy
	}
	enabled := *r.policy
	enabled.Enabled = true
	all[slices.Index(all, r.policy)] = &enabled
	return Compile(all, s.revision, WithEnvironment(s.env))
}

// mayBeSaved reports whether a field of the request that is empty may have been
// saved by a bot, in the context of the conversation.
func (s *source) mayBeSaved() bool {
	return s.field == fieldChannel || s.field == fieldIntent || s.field == fieldMessage
}
