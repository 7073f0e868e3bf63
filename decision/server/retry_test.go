package server

import (
	"testing"

	"github.com/usherhq/usher/pipeline/event"
)

// TestRetriesAreToldByTheirAnswer: whatever context, functions or live state changed
// of an answer makes it another decision.
func TestRetriesAreToldByTheirAnswer(t *testing.T) {
	says := func(text string) event.Decision {
		return event.Decision{Account: "a", Chosen: "SEND_MESSAGE", Policy: "p", Step: 1, Actions: []event.Action{
			{Type: "SEND_MESSAGE", Payload: map[string]any{"text": text, "x": 1.0}},
		}}
	}
	first, same, text := says("hello Ann"), says("hello Ann"), says("hello Bob")
	policy, step := says("hello Ann"), says("hello Ann")
	policy.Policy, step.Step = "q", 2
	id := retryID([]byte("body"), &first)
	if retryID([]byte("body"), &same) != id {
		t.Error("the same answer has another id")
	}
	for name, d := range map[string]*event.Decision{"text": &text, "policy": &policy, "step": &step} {
		if retryID([]byte("body"), d) == id {
			t.Errorf("another %s has the same id", name)
		}
	}
}
