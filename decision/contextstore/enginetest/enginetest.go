// Package enginetest is the one suite that every engine of the context store
// passes: the engine's own promises, and the store's rules on top of it, held
// against a model over random operations.
package enginetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/usherhq/usher/decision/contextstore"
)

// Run holds the engine to the suite. The engine is empty to begin with.
func Run(t *testing.T, e contextstore.Engine) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, contextstore.Engine){
		"read and commit": readAndCommit, "all or none": allOrNone, "scan": scan, "drop": drop, "sweep": sweep,
		"accounts": accounts, "counter": counter, "reader's moment": moment, "cancelled": cancelled,
		"rules": rules, "model": model, "tenancy": tenancy, "limit": limit, "races with drop": dropRace,
	} {
		t.Run(name, func(t *testing.T) { test(t, e) })
	}
}

// account is one that no other test uses.
func account() string { return uuid.NewString() }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rec is a record as the engine sees it: version, expiry, and what else.
func rec(version uint64, expires int64, body string) []byte {
	return append(contextstore.NewHeader(version, expires), body...)
}

func key(namespace, session string) contextstore.Key {
	return contextstore.Key{Namespace: namespace, Session: session}
}

func put(k contextstore.Key, expect, version uint64, expires int64) contextstore.Mutation {
	return contextstore.Mutation{Key: k, Op: contextstore.Put, Expect: expect, Record: rec(version, expires, k.Session)}
}

// far is an expiry that no sweep of these tests reaches.
const far = int64(1) << 50

func versions(t *testing.T, e contextstore.Engine, acc string, keys ...contextstore.Key) string {
	t.Helper()
	records, err := e.Read(t.Context(), acc, keys)
	must(t, err)
	var out []uint64
	for _, r := range records {
		out = append(out, contextstore.RecordVersion(r))
	}
	return fmt.Sprint(out)
}

func readAndCommit(t *testing.T, e contextstore.Engine) {
	acc, ctx := account(), t.Context()
	odd := key("n", "é/:%\x01 \xff{}")
	must(t, e.Commit(ctx, acc, []contextstore.Mutation{put(key("n", "a"), 0, 7, far), put(odd, 0, 8, far), put(key("m", "a"), 0, 9, far)}))
	if got := versions(t, e, acc, key("n", "a"), key("m", "a"), odd, key("n", "none"), key("n", "a")); got != "[7 9 8 0 7]" {
		t.Errorf("versions = %s", got)
	}
	records, err := e.Read(ctx, acc, []contextstore.Key{odd})
	must(t, err)
	if records[0] != string(rec(8, far, odd.Session)) {
		t.Errorf("record = %q", records[0])
	}
	must(t, e.Commit(ctx, acc, []contextstore.Mutation{put(odd, 8, 10, far), {Key: key("n", "a"), Op: contextstore.Remove, Expect: 7}}))
	if got := versions(t, e, acc, odd, key("n", "a")); got != "[10 0]" {
		t.Errorf("versions after replacing and removing = %s", got)
	}
}

func allOrNone(t *testing.T, e contextstore.Engine) {
	acc, ctx := account(), t.Context()
	a, b := key("n", "a"), key("m", "b")
	must(t, e.Commit(ctx, acc, []contextstore.Mutation{put(a, 0, 1, far)}))
	for name, wrong := range map[string]contextstore.Mutation{
		"verify":        {Key: a, Op: contextstore.Verify, Expect: 2},
		"verify absent": {Key: a, Op: contextstore.Verify},
		"put":           put(a, 2, 3, far),
		"put new":       put(a, 0, 3, far),
		"remove":        {Key: a, Op: contextstore.Remove, Expect: 2},
		"missing":       put(key("n", "none"), 2, 3, far),
	} {
		err := e.Commit(ctx, acc, []contextstore.Mutation{put(b, 0, 5, far), wrong})
		if !errors.Is(err, contextstore.ErrConflict) {
			t.Errorf("%s: error %v, want a conflict", name, err)
		}
		if got := versions(t, e, acc, a, b); got != "[1 0]" {
			t.Errorf("%s: versions %s after a conflict", name, got)
		}
	}
	must(t, e.Commit(ctx, acc, []contextstore.Mutation{{Key: a, Op: contextstore.Verify, Expect: 1}, put(b, 0, 5, far)}))
}

// sessions lists a namespace in pages of n.
func sessions(t *testing.T, e contextstore.Engine, acc, namespace string, n int) []string {
	t.Helper()
	var out []string
	for after := ""; ; {
		entries, err := e.Scan(t.Context(), acc, namespace, after, n)
		must(t, err)
		if len(entries) > n {
			t.Fatalf("%d entries, asked for %d", len(entries), n)
		}
		if len(entries) == 0 {
			return out
		}
		for _, entry := range entries {
			if entry.Record[contextstore.HeaderSize:] != entry.Session {
				t.Errorf("%q comes with the record %q", entry.Session, entry.Record)
			}
			out = append(out, entry.Session)
		}
		after = out[len(out)-1]
	}
}

func scan(t *testing.T, e contextstore.Engine) {
	acc, ctx := account(), t.Context()
	want := []string{"\x01", "1", "10", "2", "B", "a", "a\x00", "aa", "b", "é", "\xff", "\xff\xff"}
	var ms []contextstore.Mutation
	for i := range want { // in another order than they are to come
		ms = append(ms, put(key("n", want[(i*5)%len(want)]), 0, 1, far))
	}
	ms = append(ms, put(key("m", "x"), 0, 1, far), put(key("n2", "y"), 0, 1, far), put(key("", "n"), 0, 1, far))
	must(t, e.Commit(ctx, acc, ms))
	for _, n := range []int{1, 5, 100} {
		if diff := cmp.Diff(want, sessions(t, e, acc, "n", n)); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", n, diff)
		}
	}
	if got := sessions(t, e, acc, "", 10); len(got) != 1 || got[0] != "n" {
		t.Errorf("the store's own namespace lists %q", got)
	}
	big := key("big", "s")
	record := append(rec(1, far, ""), make([]byte, contextstore.ScanBytes)...)
	for i := range 3 {
		k := key(big.Namespace, strconv.Itoa(i))
		must(t, e.Commit(ctx, acc, []contextstore.Mutation{{Key: k, Op: contextstore.Put, Record: record}}))
	}
	if entries, err := e.Scan(ctx, acc, "big", "", 3); err != nil || len(entries) != 1 {
		t.Errorf("a scan over large records returns %d of them, %v", len(entries), err)
	}
}

func drop(t *testing.T, e contextstore.Engine) {
	acc, ctx := account(), t.Context()
	ms := []contextstore.Mutation{put(key("", "n"), 0, 1, far), put(key("", "n2"), 0, 1, far), put(key("n2", "s"), 0, 1, far)}
	for i := range 1200 {
		ms = append(ms, put(key("n", strconv.Itoa(i)), 0, 1, 1000))
	}
	must(t, e.Commit(ctx, acc, ms))
	must(t, e.Drop(ctx, acc, "n"))
	must(t, e.Drop(ctx, acc, "n")) // nothing left
	if got := versions(t, e, acc, key("", "n"), key("", "n2"), key("n", "7"), key("n2", "s")); got != "[0 1 0 1]" {
		t.Errorf("versions = %s", got)
	}
	if len(sessions(t, e, acc, "n", 100)) != 0 || len(sessions(t, e, acc, "", 100)) != 1 {
		t.Error("what was dropped is listed")
	}
	// What is written anew does not expire with what was there before.
	must(t, e.Commit(ctx, acc, []contextstore.Mutation{put(key("n", "7"), 0, 2, 2000), put(key("n", "8"), 0, 2, 1000)}))
	if n := sweepAll(t, e, 1500); n != 1 {
		t.Errorf("%d documents swept, want 1", n)
	}
	if got := versions(t, e, acc, key("n", "7"), key("n", "8")); got != "[2 0]" {
		t.Errorf("versions after the sweep = %s", got)
	}
	sweepAll(t, e, 2000)
}

func sweepAll(t *testing.T, e contextstore.Engine, now int64) (n int) {
	t.Helper()
	for more := true; more; {
		var removed int
		var err error
		removed, more, err = e.Sweep(t.Context(), now, 100)
		must(t, err)
		n += removed
	}
	return n
}

func sweep(t *testing.T, e contextstore.Engine) {
	one, two, ctx := account(), account(), t.Context()
	var ms []contextstore.Mutation
	for i := range 250 {
		ms = append(ms, put(key("n", strconv.Itoa(i)), 0, 1, 5000+int64(i)))
	}
	must(t, e.Commit(ctx, one, ms))
	must(t, e.Commit(ctx, two, ms[:50]))
	must(t, e.Commit(ctx, one, []contextstore.Mutation{
		put(key("n", "0"), 1, 2, 9000),                           // lives longer
		{Key: key("n", "1"), Op: contextstore.Remove, Expect: 1}, // is gone
		put(key("n", "249"), 1, 2, 5000),                         // lives shorter
		{Key: key("n", "2"), Op: contextstore.Verify, Expect: 1}, //
		put(key("", "n"), 0, 1, int64(^uint64(0)>>1)), put(key("m", "x"), 0, 1, far),
	}))
	if n := sweepAll(t, e, 4999); n != 0 {
		t.Errorf("%d swept too early", n)
	}
	if n := sweepAll(t, e, 5099); n != 98+1+50 {
		t.Errorf("%d swept, want those of 2 to 99, 249, and 50 of another account", n)
	}
	if got := len(sessions(t, e, one, "n", 100)); got != 150 {
		t.Errorf("%d left, want 100 to 248 and 0", got)
	}
	if n := sweepAll(t, e, 9000); n != 150 {
		t.Errorf("%d swept at last, want 150", n)
	}
	if got := versions(t, e, one, key("", "n"), key("m", "x")); got != "[1 1]" {
		t.Errorf("versions of what does not expire = %s", got)
	}
}

// accounts that could be taken for one another, or that break keys apart.
func accounts(t *testing.T, e contextstore.Engine) {
	ctx := t.Context()
	names := []string{"x", "x:d:n", "x}", "{x}", "}", "x\x00n", "x\x01", "é", "n"}
	for i, name := range names {
		must(t, e.Commit(ctx, name, []contextstore.Mutation{put(key("n", "s"), 0, uint64(i+1), far)}))
	}
	for i, name := range names {
		if got := versions(t, e, name, key("n", "s")); got != fmt.Sprint([]int{i + 1}) {
			t.Errorf("account %q has version %s, want %d", name, got, i+1)
		}
		if got := sessions(t, e, name, "n", 10); len(got) != 1 {
			t.Errorf("account %q lists %q", name, got)
		}
	}
	must(t, e.Drop(ctx, "x", "n"))
	for i, name := range names[1:] {
		if got := versions(t, e, name, key("n", "s")); got != fmt.Sprint([]int{i + 2}) {
			t.Errorf("account %q lost its record to another: %s", name, got)
		}
	}
}

// counter has many writers count up in one record; none may get lost.
func counter(t *testing.T, e contextstore.Engine) {
	acc, k := account(), key("n", "s")
	const writers, each = 8, 25
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for done := 0; done < each; {
				records, err := e.Read(t.Context(), acc, []contextstore.Key{k})
				if err != nil {
					t.Error(err)
					return
				}
				v := contextstore.RecordVersion(records[0])
				switch err := e.Commit(t.Context(), acc, []contextstore.Mutation{put(k, v, v+1, far)}); {
				case err == nil:
					done++
				case !errors.Is(err, contextstore.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	if got := versions(t, e, acc, k); got != fmt.Sprint([]int{writers * each}) {
		t.Errorf("%s writes counted, want %d", got, writers*each)
	}
}

// moment reads two records that always change together.
func moment(t *testing.T, e contextstore.Engine) {
	acc := account()
	a, b := key("n", "a"), key("m", "b")
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for v := uint64(0); ; v++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := e.Commit(t.Context(), acc, []contextstore.Mutation{put(a, v, v+1, far), put(b, v, v+1, far)}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 300 {
		records, err := e.Read(t.Context(), acc, []contextstore.Key{a, b})
		if err != nil {
			t.Error(err)
			break
		}
		if va, vb := contextstore.RecordVersion(records[0]), contextstore.RecordVersion(records[1]); va != vb {
			t.Errorf("read versions %d and %d of one moment", va, vb)
			break
		}
	}
	close(stop)
	group.Wait()
}

func cancelled(t *testing.T, e contextstore.Engine) {
	acc := account()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, read := e.Read(ctx, acc, []contextstore.Key{key("n", "a")})
	_, scanned := e.Scan(ctx, acc, "n", "", 1)
	commit := e.Commit(ctx, acc, []contextstore.Mutation{put(key("n", "a"), 0, 1, far)})
	for i, err := range []error{read, scanned, commit, e.Drop(ctx, acc, "n")} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("call %d over a cancelled context answers %v", i, err)
		}
	}
	if got := versions(t, e, acc, key("n", "a")); got != "[0]" {
		t.Errorf("a cancelled write has left %s", got)
	}
}
