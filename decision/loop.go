package decision

import "github.com/usherhq/usher/pipeline/event"

// loops reports whether an action gives the conversation back to the bot that asks.
// Checks refuse that in a policy; of a target that a template makes they cannot know.
func (t *turn) loops(a event.Action) bool {
	found := t.set.Environment().Loops(a.Type, a.Target)
	t.looped = t.looped || found
	return found
}
