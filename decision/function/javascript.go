package function

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"modernc.org/quickjs"
)

//go:embed prelude.js
var prelude string

const (
	machineMemory = 8 << 20 // bytes that a runtime may use
	machineCalls  = 2000    // after which a runtime is replaced
)

// errTooLong is a call that did not end in its time.
var errTooLong = errors.New("did not end in time")

// errNotBegun is a call whose time was up before its code ran.
var errNotBegun = fmt.Errorf("%w: no time was left to begin", errTooLong)

// sandbox runs JavaScript in a bounded number of runtimes, which are used again:
// the prelude freezes them, so no call finds anything of another. A runtime that
// ran out of time or memory is thrown away.
type sandbox struct {
	slots   chan struct{} // one token per runtime that may be at work
	answer  int           // characters of a result
	prelude func() ([]byte, error)

	mu     sync.Mutex
	idle   []*machine
	closed bool
}

// machine is one runtime. It belongs to one call at a time.
type machine struct {
	vm    *quickjs.VM
	enter quickjs.Value // the way in that the prelude returns
	calls int
	// spoiled says that the runtime must not be used again.
	spoiled bool
	release func() // of the place among the runtimes at work
}

func newSandbox(runtimes, answer int) *sandbox {
	return &sandbox{slots: make(chan struct{}, runtimes), answer: answer, prelude: sync.OnceValues(compilePrelude)}
}

func compilePrelude() ([]byte, error) {
	return withVM(func(vm *quickjs.VM) ([]byte, error) { return vm.Compile(prelude, quickjs.EvalGlobal) })
}

// withVM lends a fresh runtime with limits.
func withVM(do func(*quickjs.VM) ([]byte, error)) (out []byte, err error) {
	vm, err := quickjs.NewVM()
	if err != nil {
		return nil, fmt.Errorf("start a JavaScript runtime: %w", err)
	}
	defer func() { err = errors.Join(err, vm.Close()) }()
	vm.SetMemoryLimit(machineMemory)
	if err := vm.SetEvalTimeout(MaxTimeout); err != nil {
		return nil, fmt.Errorf("start a JavaScript runtime: %w", err)
	}
	return do(vm)
}

// bigInt finds numbers such as 10n. Arithmetic with them is native code without
// a bound of time, so they are refused.
var bigInt = regexp.MustCompile(`(^|[^\w$.])(\d[\d_]*|0[xX][\da-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+)n\b`)

// asyncMain finds a main that gives a promise. Nobody waits for one, so it would
// fail at every call. Comments are taken out before; what is missed is found then.
var (
	comments  = regexp.MustCompile(`(?s:/\*.*?\*/)|//[^\n]*`)
	asyncMain = regexp.MustCompile(`(?m)(^|[;}])\s*(async\s+function\s*\*?\s*main\b|(const|let|var)\s+main\s*=\s*async\b)`)
)

// entryPoint finds where main is defined. A comment can pass for it; what has not even
// that defines none.
var entryPoint = regexp.MustCompile(`\bfunction\s*\*?\s*main\b|\bmain\s*=|\b(const|let|var)\b[^;]*\bmain\b`)

// compile makes the bytecode of a function that defines main. The source must
// stand by itself: then nothing in it can end the function that it is put into.
func compile(source string) ([]byte, error) {
	if found := bigInt.FindStringSubmatch(source); found != nil {
		return nil, fmt.Errorf("has the BigInt %sn: use numbers", found[2])
	}
	if asyncMain.MatchString(comments.ReplaceAllString(source, " ")) {
		return nil, errors.New("main is async: it must return a value, not a promise; write function main(args)")
	}
	return withVM(func(vm *quickjs.VM) ([]byte, error) {
		if _, err := vm.Compile("\"use strict\";"+source+"\n", quickjs.EvalGlobal); err != nil {
			return nil, errors.New(complaint(err))
		}
		if !entryPoint.MatchString(source) {
			return nil, errors.New("defines no main: write function main(args)")
		}
		code, err := vm.Compile("(function(){\"use strict\";"+source+
			"\n;return typeof main===\"function\"?main:null})", quickjs.EvalGlobal)
		if err != nil {
			return nil, errors.New(complaint(err))
		}
		return code, nil
	})
}

// complaint is an exception in one short line.
func complaint(err error) string {
	text := err.Error()
	if e, ok := errors.AsType[*quickjs.Error](err); ok && e.LineNumber > 0 {
		text = fmt.Sprintf("line %d: %s", e.LineNumber, text)
	}
	text, _, _ = strings.Cut(text, "\n")
	return clip(text)
}

// run calls main with the arguments. The time is looked at between steps of the
// code: a step inside the engine can take a little longer, so whoever waits must
// watch the time too.
func (s *sandbox) run(ctx context.Context, code []byte, args map[string]any) (any, error) {
	data, err := json.Marshal(args)
	if err != nil {
		return nil, errors.New("the arguments are no JSON")
	}
	m, err := s.take(ctx)
	if err != nil {
		return nil, err
	}
	// Should the runtime be lost, its place is not.
	watch := time.AfterFunc(MaxTimeout+grace, m.release)
	defer watch.Stop()
	whole := false
	defer func() {
		// After a panic the runtime is in no known state. It is left as it is:
		// closing it would trust it once more.
		if !whole {
			m.release()
		}
	}()
	answer, err := m.call(ctx, code, string(data), s.answer)
	whole = true
	s.give(m, err)
	if err != nil {
		return nil, err
	}
	return decode([]byte(answer))
}

// take waits for a runtime that is free, or makes one.
func (s *sandbox) take(ctx context.Context) (*machine, error) {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, errBusy
	}
	release := sync.OnceFunc(func() { <-s.slots })
	m := s.reuse()
	if m == nil {
		var err error
		if m, err = s.boot(); err != nil {
			release()
			return nil, err
		}
	}
	m.release = release
	return m, nil
}

// reuse takes a runtime that rests, the one that rested least.
func (s *sandbox) reuse() *machine {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.idle)
	if n == 0 {
		return nil
	}
	m := s.idle[n-1]
	s.idle = s.idle[:n-1]
	return m
}

func (s *sandbox) boot() (*machine, error) {
	code, err := s.prelude()
	if err != nil {
		return nil, err
	}
	vm, err := quickjs.NewVM()
	if err != nil {
		return nil, fmt.Errorf("start a JavaScript runtime: %w", err)
	}
	vm.SetMemoryLimit(machineMemory)
	enter, err := vm.EvalBytecodeValue(code)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start a JavaScript runtime: %w", err), vm.Close())
	}
	return &machine{vm: vm, enter: enter}, nil
}

// give takes a runtime back, unless it is worn out.
func (s *sandbox) give(m *machine, failed error) {
	defer m.release()
	m.calls++
	worn := m.spoiled || m.calls >= machineCalls || failed != nil && !errors.Is(failed, errNotBegun) && !errors.As(failed, new(*thrown))
	s.mu.Lock()
	if !worn && !s.closed {
		s.idle = append(s.idle, m)
		m = nil
	}
	s.mu.Unlock()
	if m != nil {
		m.close()
	}
}

// warm makes runtimes until n rest, so that no call has to wait for one.
func (s *sandbox) warm(n int) error {
	for {
		s.mu.Lock()
		enough := len(s.idle) >= min(n, cap(s.slots)) || s.closed
		s.mu.Unlock()
		if enough {
			return nil
		}
		m, err := s.boot()
		if err != nil {
			return err
		}
		s.mu.Lock()
		closed := s.closed // meanwhile
		if !closed {
			s.idle = append(s.idle, m)
		}
		s.mu.Unlock()
		if closed {
			m.close()
			return nil
		}
	}
}

func (s *sandbox) close() {
	s.mu.Lock()
	idle := s.idle
	s.idle, s.closed = nil, true
	s.mu.Unlock()
	for _, m := range idle {
		m.close()
	}
}

func (m *machine) close() {
	m.enter.Free()
	_ = m.vm.Close() // nothing is left to be done about it
}

// thrown is an exception of the function's own.
type thrown struct{ text string }

func (t *thrown) Error() string { return t.text }

// class is the exception without its text, which may repeat arguments or values.
func (t *thrown) class() string {
	name, _, _ := strings.Cut(t.text, ":")
	switch name {
	case "Error", "TypeError", "RangeError", "ReferenceError", "SyntaxError", "URIError", "EvalError", "InternalError":
		return "threw " + name
	}
	return "threw an exception of its own"
}

func (m *machine) call(ctx context.Context, code []byte, args string, limit int) (answer string, err error) {
	deadline, ok := ctx.Deadline()
	left := MaxTimeout
	if ok {
		left = time.Until(deadline)
	}
	if left <= 0 || ctx.Err() != nil {
		return "", errNotBegun
	}
	if err := m.vm.SetEvalTimeout(left); err != nil {
		return "", fmt.Errorf("limit a JavaScript runtime: %w", err)
	}
	stop := context.AfterFunc(ctx, m.vm.Interrupt)
	defer func() {
		// An interrupt that came too late would hit the next call.
		m.spoiled = m.spoiled || !stop()
	}()
	source, err := m.vm.EvalBytecodeValue(code)
	if err != nil {
		return "", verdict(err)
	}
	defer source.Free()
	out, err := m.enter.Call(quickjs.UndefinedValue, source, args, limit)
	if err != nil {
		return "", verdict(err)
	}
	text, ok := out.(string)
	if !ok {
		return "", errors.New("the JavaScript runtime answered no text")
	}
	return text, nil
}

// verdict tells the function's own exceptions from the ends that the sandbox put
// to it.
func verdict(err error) error {
	switch text := err.Error(); {
	case strings.HasPrefix(text, "InternalError: interrupted"):
		return errTooLong
	case strings.HasPrefix(text, "InternalError: out of memory"), strings.HasPrefix(text, "InternalError: stack overflow"):
		text, _, _ = strings.Cut(text, "\n")
		return fmt.Errorf("%.29s; a function has %d MB", text, machineMemory>>20) // a text of its own is cut off
	}
	return &thrown{text: complaint(err)}
}
