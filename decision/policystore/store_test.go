package policystore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/decision/policystore"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a store over the log; it stops with the test.
func start(t *testing.T, log configlog.Log, opts ...policystore.Option) *policystore.Store {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	folded := configlog.New(log)
	store := policystore.New(folded, opts...)
	var wg sync.WaitGroup
	wg.Go(func() { _ = folded.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	<-folded.Ready()
	wg.Go(func() { _ = store.Run(ctx) })
	<-store.Ready()
	return store
}

func somePolicy(name string) *policy.Policy {
	return &policy.Policy{
		Name: name, Enabled: true, When: &policy.Condition{Attribute: "intent", Operator: policy.Equal, Value: name},
		Effect: policy.Effect{Rank: &policy.Rank{}},
	}
}

func names(s *policystore.Store) string {
	list, _ := s.List("acme")
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = p.Name
	}
	return strings.Join(out, " ")
}

func create(t *testing.T, s *policystore.Store, all ...string) {
	t.Helper()
	for _, name := range all {
		if _, err := s.Create(t.Context(), "acme", somePolicy(name), policystore.Change{Author: "ada"}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLifeOfAPolicy(t *testing.T) {
	s := start(t, &configlog.Memory{})
	create(t, s, "a", "b", "c")
	if got := names(s); got != "a b c" {
		t.Fatalf("order %q", got)
	}
	if _, err := s.Create(t.Context(), "acme", somePolicy("a"), policystore.Change{}); fault.KindOf(err) != fault.Exists {
		t.Errorf("created twice: %v", err)
	}
	before, place, err := s.Get("acme", "b")
	if err != nil || place != 1 {
		t.Fatal(place, err)
	}
	off, err := s.SetEnabled(t.Context(), "acme", "b", false, policystore.Change{Etag: before.Revision, Author: "bob", Reason: "holiday"})
	if err != nil || off.Enabled || off.Revision <= before.Revision {
		t.Fatalf("disabled %+v, %v", off, err)
	}
	if r, ok := s.Resource("acme", "b"); !ok || r.Author != "bob" || r.Reason != "holiday" {
		t.Errorf("record %+v", r)
	}
	if s.Policies("acme").Live() != 2 {
		t.Error("a disabled policy is live")
	}
	_, err = s.Update(t.Context(), "acme", "b", policystore.Change{Etag: before.Revision}, func(*policy.Policy) error { return nil })
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Kind != fault.Conflict || f.Metadata["etag"] != fmt.Sprint(off.Revision) {
		t.Errorf("stale etag: %v", err)
	}
	if err := s.Delete(t.Context(), "acme", "a", policystore.Change{}); err != nil || names(s) != "b c" {
		t.Errorf("after delete %q, %v", names(s), err)
	}
	if err := s.Delete(t.Context(), "acme", "a", policystore.Change{}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("deleted twice: %v", err)
	}
	if got := s.Policies("other").Len(); got != 0 {
		t.Errorf("another account sees %d policies", got)
	}
}

func TestAllFaultsAtOnceWhenWritten(t *testing.T) {
	s := start(t, &configlog.Memory{})
	bad := somePolicy("bad")
	bad.When = &policy.Condition{Any: []*policy.Condition{{CEL: "a =="}, {Attribute: "x", Operator: policy.Matches, Value: "("}}}
	bad.Effect = policy.Effect{}
	_, err := s.Create(t.Context(), "acme", bad, policystore.Change{})
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Kind != fault.Invalid || len(f.Violations) != 3 || names(s) != "" {
		t.Errorf("error %v, policies %q", err, names(s))
	}
	if _, err := s.Create(t.Context(), "acme", somePolicy(""), policystore.Change{}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a policy without a name: %v", err)
	}
	if _, err := s.Create(t.Context(), "acme", somePolicy("No Name"), policystore.Change{}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a policy with a bad name: %v", err)
	}
}

func TestMoveNeverRunsOutOfRoom(t *testing.T) {
	s := start(t, &configlog.Memory{})
	create(t, s, "a", "b", "c", "d")
	for _, move := range []struct {
		name string
		to   int
		want string
	}{
		{"d", 0, "d a b c"}, {"d", 99, "a b c d"}, {"a", 2, "b c a d"}, {"c", 1, "b c a d"}, {"b", 1, "c b a d"},
	} {
		if _, err := s.Move(t.Context(), "acme", move.name, move.to, policystore.Change{}); err != nil || names(s) != move.want {
			t.Fatalf("%s to %d: %q, want %q (%v)", move.name, move.to, names(s), move.want, err)
		}
	}
	// Always between the same two: doubles have room for some fifty of these.
	for i := range 120 {
		name := []string{"b", "a"}[i%2]
		p, err := s.Move(t.Context(), "acme", name, 1, policystore.Change{})
		if err != nil || !strings.HasPrefix(names(s), "c "+name) || p.Name != name {
			t.Fatalf("move %d: %q, %v", i, names(s), err)
		}
	}
	if _, err := s.Move(t.Context(), "acme", "a", -1, policystore.Change{}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("negative place: %v", err)
	}
}

func TestAnotherReplicaFollows(t *testing.T) {
	log := &configlog.Memory{}
	one, two := start(t, log), start(t, log)
	create(t, one, "a")
	// The account's own record is how a replica hears of an account at all.
	err := log.Append(t.Context(), &event.ConfigChange{
		ID: "acc", Account: "acme", Kind: configlog.KindAccount, Name: "acme", Value: []byte(`{}`), Author: "x", Time: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return two.Policies("acme").Len() == 1 })
	create(t, one, "b")
	eventually(t, func() bool { return two.Policies("acme").Len() == 2 })
}

func TestBrokenDocumentOnTheLogIsInvalidNotFatal(t *testing.T) {
	log := &configlog.Memory{}
	for i, doc := range []string{
		`{"name":"future","enabled":true,"rank":1,"display_name":"From later","effect":{"teleport":{}}}`,
		`{"name":"good","enabled":true,"rank":2,"effect":{"rank":{}}}`,
	} {
		err := log.Append(t.Context(), &event.ConfigChange{
			ID: fmt.Sprint(i), Account: "acme", Kind: configlog.KindPolicy, Name: []string{"future", "good"}[i],
			Value: []byte(doc), Author: "x", Time: time.Now(),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, log)
	list, _ := s.List("acme")
	if len(list) != 2 || list[0].Fault == nil || list[0].DisplayName != "From later" || list[1].Fault != nil {
		t.Fatalf("policies %+v", list)
	}
	set := s.Policies("acme")
	in := set.NewInput()
	in.Load(&policy.Facts{})
	trace := set.Trace(in, -1)
	if trace[0].State != event.Invalid || trace[1].State != event.True || set.Live() != 1 {
		t.Errorf("trace %+v", trace)
	}
	fixed, err := s.Update(t.Context(), "acme", "future", policystore.Change{}, func(p *policy.Policy) error {
		p.Effect = policy.Effect{Rank: &policy.Rank{}}
		return nil
	})
	if err != nil || fixed.Fault != nil || names(s) != "future good" {
		t.Errorf("repaired %+v, %v", fixed, err)
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to be within 10 s")
		}
		time.Sleep(time.Millisecond)
	}
}

// TestSchedulesThatAreOver wants a store that knows the time to tell of them.
func TestSchedulesThatAreOver(t *testing.T) {
	now := time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC)
	p := somePolicy("a")
	p.Schedule = &policy.Schedule{To: "2026-12-01"}
	for want, opts := range map[string][]policystore.Option{
		"[]":                  nil,
		"[schedule.to ENDED]": {policystore.WithClock(func() time.Time { return now })},
	} {
		s := start(t, &configlog.Memory{}, opts...)
		got := []string{}
		for _, problem := range s.Check("acme", p) {
			got = append(got, problem.Path+" "+problem.Code)
		}
		if fmt.Sprint(got) != want {
			t.Errorf("problems %v, want %s", got, want)
		}
	}
}
