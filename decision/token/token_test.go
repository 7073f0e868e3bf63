package token_test

import (
	"context"
	"crypto/rand"
	"errors"
	"math/bits"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/usherhq/usher/decision/token"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/rpc"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a store on a log in memory, with a clock that stands.
type fixture struct {
	log   *configlog.Memory
	store *configlog.Store
	now   time.Time
}

func start(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{log: &configlog.Memory{}, now: time.Unix(1_800_000_000, 0)}
	f.store = replica(t, f.log)
	return f
}

func replica(t testing.TB, log configlog.Log) *configlog.Store {
	t.Helper()
	store := configlog.New(log)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = store.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	<-store.Ready()
	return store
}

func (f *fixture) tokens() *token.Tokens {
	return token.New(f.store, func() time.Time { return f.now }, rand.Reader)
}

func TestBootstrapOnce(t *testing.T) {
	f := start(t)
	tokens := f.tokens()
	plain, err := tokens.Bootstrap(t.Context())
	if err != nil || !strings.HasPrefix(plain, "usher_") {
		t.Fatalf("Bootstrap = %q, %v", plain, err)
	}
	p, err := tokens.Verify(plain)
	if err != nil || p.Account != "" || !p.Scopes.Has(rpc.ScopeDecide|rpc.ScopeAdmin) {
		t.Errorf("the first token is %+v, %v", p, err)
	}
	if again, err := tokens.Bootstrap(t.Context()); again != "" || err != nil {
		t.Errorf("a second Bootstrap = %q, %v", again, err)
	}
	for _, r := range f.store.State().List("", configlog.KindToken) {
		if strings.Contains(string(r.Value), plain) || strings.Contains(string(r.Value), plain[19:51]) {
			t.Errorf("the log holds the secret: %s", r.Value)
		}
	}
	if err := tokens.Revoke(t.Context(), "bootstrapped", "admin", "rotation"); err != nil {
		t.Fatal(err)
	}
	if again, err := tokens.Bootstrap(t.Context()); again != "" || err != nil {
		t.Errorf("Bootstrap after a revocation = %q, %v: the way in is open again", again, err)
	}
}

func TestVerify(t *testing.T) {
	f := start(t)
	tokens := f.tokens()
	if _, err := f.store.Write(t.Context(), event.ConfigChange{Account: "shop", Kind: configlog.KindAccount, Name: "shop", Value: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	spec := token.Spec{Name: "bot", Account: "shop", Scopes: rpc.ScopeDecide | rpc.ScopeIngest, Expires: f.now.Add(time.Hour)}
	plain, info, err := tokens.Create(t.Context(), spec, "ann")
	if err != nil {
		t.Fatal(err)
	}
	p, err := tokens.Verify(plain)
	if err != nil || p.ID != info.ID || p.Account != "shop" || p.Scopes != spec.Scopes {
		t.Errorf("Verify = %+v, %v", p, err)
	}
	if p.Scopes.Has(rpc.ScopeRead) || p.Covers("other") || p.Covers("") || !p.Covers("shop") {
		t.Errorf("the principal may more than the spec says: %+v", p)
	}
	other, _, err := tokens.Create(t.Context(), token.Spec{Scopes: rpc.ScopeAdmin}, "ann")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ token, reason string }{
		"nothing":                {"", "TOKEN_MALFORMED"},
		"something else":         {"Basic dXNlcjpwYXNz", "TOKEN_MALFORMED"},
		"cut off":                {plain[:len(plain)-1], "TOKEN_MALFORMED"},
		"mistyped":               {plain[:30] + "!" + plain[31:], "TOKEN_MALFORMED"},
		"one's id and another's": {plain[:18] + other[18:], "TOKEN_MALFORMED"},
	} {
		if _, err := tokens.Verify(c.token); reason(err) != c.reason {
			t.Errorf("%s: Verify = %v, want %s", name, err, c.reason)
		}
	}
	stranger, _, err := start(t).tokens().Create(t.Context(), token.Spec{Scopes: rpc.ScopeAdmin}, "eve")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Verify(stranger); reason(err) != "TOKEN_UNKNOWN" {
		t.Errorf("another installation's token = %v", err)
	}
	f.now = f.now.Add(time.Hour)
	if _, err := tokens.Verify(plain); reason(err) != "TOKEN_EXPIRED" {
		t.Errorf("an expired token = %v", err)
	}
}

func TestRevocationReachesEveryReplica(t *testing.T) {
	f := start(t)
	tokens := f.tokens()
	elsewhere := token.New(replica(t, f.log), time.Now, rand.Reader)
	plain, info, err := tokens.Create(t.Context(), token.Spec{Scopes: rpc.ScopeRead}, "ann")
	if err != nil {
		t.Fatal(err)
	}
	soon(t, func() bool { _, err := elsewhere.Verify(plain); return err == nil })
	if err := tokens.Revoke(t.Context(), info.ID, "ann", "leaked"); err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Verify(plain); reason(err) != "TOKEN_UNKNOWN" {
		t.Errorf("right after the revocation: %v", err)
	}
	soon(t, func() bool { _, err := elsewhere.Verify(plain); return err != nil })
	if err := tokens.Revoke(t.Context(), info.ID, "ann", "again"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a second revocation = %v", err)
	}
	if left := tokens.List(""); len(left) != 0 {
		t.Errorf("tokens left = %v", left)
	}
}

// refusalBound is how long after a change of the log a replica may still take
// what the change has ended.
const refusalBound = time.Second

func TestRegenerateEndsTheFormerSecretEverywhere(t *testing.T) {
	f := start(t)
	tokens := f.tokens()
	other := replica(t, f.log)
	elsewhere := token.New(other, func() time.Time { return f.now }, rand.Reader)
	spec := token.Spec{Name: "bot", Scopes: rpc.ScopeDecide | rpc.ScopeRead, Expires: f.now.Add(time.Hour)}
	former, made, err := tokens.Create(t.Context(), spec, "ann")
	if err != nil {
		t.Fatal(err)
	}
	soon(t, func() bool { _, err := elsewhere.Verify(former); return err == nil })
	plain, info, err := tokens.Regenerate(t.Context(), made.ID, "bob", "yearly")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := tokens.Verify(former); reason(err) != "TOKEN_UNKNOWN" {
		t.Errorf("right after it the former secret gives %v", err)
	}
	soon(t, func() bool { _, err := elsewhere.Verify(former); return reason(err) == "TOKEN_UNKNOWN" })
	if took := time.Since(began); took > refusalBound {
		t.Errorf("another replica took the former secret for %v, at most %v is promised", took, refusalBound)
	}
	for name, at := range map[string]*token.Tokens{"here": tokens, "there": elsewhere} {
		p, err := at.Verify(plain)
		if err != nil || p.ID != made.ID || p.Scopes != spec.Scopes || !p.Expires.Equal(spec.Expires) {
			t.Errorf("%s the new secret gives %+v, %v", name, p, err)
		}
	}
	if plain == former || plain[6:18] != former[6:18] || info.ID != made.ID || info.Author != "bob" || info.Name != made.Name || info.Scopes != made.Scopes {
		t.Errorf("regenerated %+v of %+v", info, made)
	}
	if listed := elsewhere.List(""); len(listed) != 1 || !listed[0].Created.Equal(made.Created) || listed[0].Author != "bob" {
		t.Errorf("listed as %+v, want the time it was made, %v", listed, made.Created)
	}
}

func TestRegenerateOfWhatCannotBe(t *testing.T) {
	f := start(t)
	tokens := f.tokens()
	if _, _, err := tokens.Regenerate(t.Context(), "nobody", "ann", ""); fault.KindOf(err) != fault.NotFound {
		t.Errorf("of an unknown token: %v", err)
	}
	_, info, err := tokens.Create(t.Context(), token.Spec{Scopes: rpc.ScopeRead, Expires: f.now.Add(time.Minute)}, "ann")
	if err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(time.Minute)
	if _, _, err := tokens.Regenerate(t.Context(), info.ID, "ann", ""); fault.KindOf(err) != fault.Precondition {
		t.Errorf("of an expired token: %v", err)
	}
}

func TestCreateRefusesASpecWithoutSense(t *testing.T) {
	f := start(t)
	_, _, err := f.tokens().Create(t.Context(), token.Spec{Account: "nobody", Expires: f.now}, "ann")
	for _, field := range []string{"scopes", "expires", "account"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("Create = %v, want %s named", err, field)
		}
	}
}

func TestSecretHasEnoughEntropy(t *testing.T) {
	f := start(t)
	tokens := f.tokens()
	var ones, chars int
	seen := map[string]bool{}
	for range 50 {
		plain, _, err := tokens.Create(t.Context(), token.Spec{Scopes: rpc.ScopeRead}, "ann")
		if err != nil {
			t.Fatal(err)
		}
		secret := plain[19:51]
		if seen[secret] || len(secret)*5 < 160 {
			t.Fatalf("secret %q is short or came twice", secret)
		}
		seen[secret] = true
		for _, c := range secret {
			ones += bits.OnesCount8(uint8(strings.IndexRune("abcdefghijklmnopqrstuvwxyz234567", c)))
			chars++
		}
	}
	if mean := float64(ones) / float64(chars); mean < 2.3 || mean > 2.7 {
		t.Errorf("%.2f of 5 bits are set on average, want about 2.5", mean)
	}
}

func reason(err error) string {
	if e, ok := errors.AsType[*fault.Error](err); ok {
		return e.Reason
	}
	return ""
}

func soon(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not so in time")
		}
	}
}

func FuzzVerify(f *testing.F) {
	fix := start(f)
	tokens := fix.tokens()
	plain, err := tokens.Bootstrap(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain[:58])
	f.Add("usher_")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := tokens.Verify(text); err == nil && text != plain {
			t.Errorf("%q passes", text)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	f := start(b)
	tokens := f.tokens()
	plain, err := tokens.Bootstrap(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tokens.Verify(plain); err != nil {
			b.Fatal(err)
		}
	}
}
