package policy

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLookupsAreListedOnce(t *testing.T) {
	got := lookupsOf([]string{"channel", "orchestrator.channel", "conversation.x", "crm.a", "user_message", "crm.a"})
	if diff := cmp.Diff([]string{"orchestrator.channel", "crm.a", "orchestrator.userMessage"}, got); diff != "" {
		t.Error(diff)
	}
	needs := make([]string, 300_000)
	for i := range needs {
		needs[i] = fmt.Sprint("crm.n", i)
	}
	begun := time.Now()
	if n := len(lookupsOf(needs)); n != len(needs) || time.Since(begun) > 10*time.Second {
		t.Errorf("%d names in %v", n, time.Since(begun))
	}
}
