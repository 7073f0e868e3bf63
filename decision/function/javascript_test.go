package function

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is one case of testdata/scripts.txt.
type script struct{ name, body, want string }

// scripts reads cases: a line "== name", the body of main, a line "-> result".
func scripts(t *testing.T, file string) (cases []script) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split("\n"+string(data), "\n== ")[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		body, want, ok := strings.Cut("\n"+rest, "\n-> ")
		if !ok {
			t.Fatalf("case %q has no result", name)
		}
		cases = append(cases, script{name, body, strings.TrimSpace(want)})
	}
	return cases
}

// ample is time for calls that must not fail for the lack of it.
const ample = 30 * time.Second

// warm starts the runtimes: with the race detector that takes a while.
func warm(t *testing.T, s *sandbox) {
	t.Helper()
	if err := s.warm(cap(s.slots)); err != nil {
		t.Fatal(err)
	}
}

func play(t *testing.T, s *sandbox, limit time.Duration, body string) (string, time.Duration) {
	t.Helper()
	code, err := compile("function main(args){" + body + "\n}")
	if err != nil {
		return "refused: " + err.Error(), 0
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	began := time.Now()
	v, err := s.run(ctx, code, map[string]any{"id": "12345", "list": []any{1.0, 2.0}})
	took := time.Since(began)
	if err != nil {
		return "error: " + err.Error(), took
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data), took
}

// TestScripts plays every case in one sandbox with one runtime: what one of them
// broke would show in the next. Each must end near its time, whatever it tries.
func TestScripts(t *testing.T) {
	t.Parallel()
	s := newSandbox(1, 1000)
	defer s.close()
	warm(t, s)
	const limit = 150 * time.Millisecond
	for _, c := range scripts(t, "testdata/scripts.txt") {
		warm(t, s)
		got, took := play(t, s, limit, c.body)
		warm(t, s)
		if c.want != got && (!strings.HasSuffix(c.want, "...") || !strings.HasPrefix(got, strings.TrimSuffix(c.want, "..."))) {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
		if took > limit+2*time.Second {
			t.Errorf("%s took %v", c.name, took)
		}
		if after, _ := play(t, s, ample, `return [typeof leak, args.id, [3,1,2].sort().join("")]`); after != `["undefined","12345","123"]` {
			t.Fatalf("after %s another function sees %s", c.name, after)
		}
	}
}

// TestNothingStays: whatever a call reaches, it can leave nothing behind for the
// next one in the same runtime.
func TestNothingStays(t *testing.T) {
	t.Parallel()
	s := newSandbox(1, 100_000)
	defer s.close()
	warm(t, s)
	const walk = `
		const seen = new Set(), queue = [globalThis, function(){}, function*(){}, async function(){}, async function*(){},
			Object.getPrototypeOf((async()=>1)()), [].values(), new Map().values(), new Set().values(), ""[Symbol.iterator](), "".matchAll(/x/g)].map((o)=>[o,"root"]);
		const open = [];
		while (queue.length) {
			const [o, path] = queue.pop();
			if (o === null || (typeof o !== "object" && typeof o !== "function") || seen.has(o)) continue;
			seen.add(o);
			if (path !== "root" && !Object.isFrozen(o)) open.push(path);
			queue.push([Object.getPrototypeOf(o), path + ".__proto__"]);
			if (path === "root" && o !== globalThis) continue;
			for (const k of [...Object.getOwnPropertyNames(o), ...Object.getOwnPropertySymbols(o)]) {
				const d = Object.getOwnPropertyDescriptor(o, k);
				for (const v of [d.value, d.get, d.set]) queue.push([v, path + "." + String(k)]);
			}
		}
		return { open, seen: seen.size > 300, global: Object.isFrozen(globalThis) };`
	if got, _ := play(t, s, ample, walk); got != `{"global":true,"open":[],"seen":true}` {
		t.Errorf("reachable and not frozen: %s", got)
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"function main(args) { return 1":                      "SyntaxError",
		"return 1":                                            "SyntaxError",
		"}); globalThis.leak = 1; (function(){":               "SyntaxError",
		"function main(){ return 10n }":                       "BigInt",
		"function main(){ return 0xffn }":                     "BigInt",
		"/* never closed":                                     "SyntaxError",
		"import x from 'fs'; function main(){}":               "SyntaxError",
		"with (Math) { }":                                     "SyntaxError",
		"function main(args) {\n  return 1;\n}\nlet let = 1;": "line 4",
		"function answer(args) { return 1 }":                  "defines no main",
	} {
		if _, err := compile(source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v, want %s", source, err, want)
		}
	}
	for _, source := range []string{
		"const main = (args) => args.n", "function main(){}; // the end", "var n = 1, main; main = function () { return n }", "let n = 1e3, an = 2; function main(){ return n }",
	} {
		if _, err := compile(source); err != nil {
			t.Errorf("%q: %v", source, err)
		}
	}
}

// TestRuntimesAreShared: many calls at once share few runtimes, and each gets its
// own answer.
func TestRuntimesAreShared(t *testing.T) {
	t.Parallel()
	s := newSandbox(2, 1000)
	defer s.close()
	warm(t, s)
	code, err := compile(`let calls = 0; function main(args) { calls++; return [args.n, calls] }`)
	if err != nil {
		t.Fatal(err)
	}
	var calls sync.WaitGroup
	for n := range 200 {
		calls.Go(func() {
			v, err := s.run(t.Context(), code, map[string]any{"n": n})
			if err != nil {
				t.Error(err)
				return
			}
			if got, _ := json.Marshal(v); string(got) != "["+spell(float64(n))+",1]" {
				t.Errorf("call %d got %s", n, got)
			}
		})
	}
	calls.Wait()
	if len(s.idle) > 2 || len(s.slots) != 0 {
		t.Errorf("%d runtimes rest, %d are at work", len(s.idle), len(s.slots))
	}
}

// TestCallerGoesAway: the end of the caller's context ends the code.
func TestCallerGoesAway(t *testing.T) {
	t.Parallel()
	s := newSandbox(1, 1000)
	defer s.close()
	code, err := compile(`function main() { for (;;); }`)
	if err != nil {
		t.Fatal(err)
	}
	warm(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	began := time.Now()
	if _, err := s.run(ctx, code, nil); err == nil || time.Since(began) > 500*time.Millisecond {
		t.Errorf("ended after %v with %v", time.Since(began), err)
	}
	warm(t, s)
	if got, _ := play(t, s, ample, "return 2"); got != "2" {
		t.Errorf("the next call gets %s", got)
	}
}
