package golearn

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

// request is what the parent asks of the child.
type request struct {
	// Wall and Memory bound the child: time from here on, and bytes beyond what it
	// takes to start.
	Wall   time.Duration
	Memory int64

	Table   *Table
	Labels  []int // by row
	Classes int
	// Train is how many rows, from the first, are learned from. The others are graded.
	Train int
	Shape shape
	// Gain is what a split must gain to stay, in rows named rightly.
	Gain int
	// Forest asks for bagged trees in place of one.
	Forest *forestPlan
}

// response is what the child made of it.
type response struct {
	Tree *Node
	// Confusion counts graded rows by true class and class named; Accuracy is the
	// share on which they are the same.
	Confusion [][]int
	Accuracy  float64
	Forest    []*Node
	// Panicked and Failed say why there is nothing: never in golearn's words, see [ErrTime].
	Panicked, Failed bool
}

// RunChild is the body of the hidden command that a [Runner] starts: it reads one
// request from standard input, works on it within the request's limits and writes the
// answer to standard output. It must own the process: it limits its memory, ends it
// when the time is over, and the caller exits when it returns. What golearn prints
// goes to standard error.
func RunChild() error {
	if stat, err := os.Stdin.Stat(); err != nil || stat.Mode()&os.ModeCharDevice != 0 {
		return errors.New("this command is started by usher itself, never by hand")
	}
	out := os.Stdout
	os.Stdout = os.Stderr //nolint:reassign // golearn prints to it
	return serve(os.Stdin, out, work)
}

// serve answers one request by do, under the limits of the request. A panic is an
// answer, too.
func serve(in io.Reader, out io.Writer, do func(*request) (*response, error)) error {
	var req request
	if err := gob.NewDecoder(in).Decode(&req); err != nil {
		return errors.New("read the request: this command is started by usher itself, never by hand")
	}
	yield()
	over := time.AfterFunc(req.Wall, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) })
	defer over.Stop()
	if err := limitMemory(req.Memory); err != nil {
		return err
	}
	answer := attempt(&req, do)
	if err := gob.NewEncoder(out).Encode(answer); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// attempt turns errors and panics into an answer.
func attempt(req *request, do func(*request) (*response, error)) (answer *response) {
	defer func() {
		if recover() != nil {
			answer = &response{Panicked: true}
		}
	}()
	answer, err := do(req)
	if err != nil {
		return &response{Failed: true}
	}
	return answer
}

// work is what the child is for.
func work(req *request) (*response, error) {
	if req.Forest != nil {
		forest, err := req.growForest()
		return &response{Forest: forest}, err
	}
	root, err := grow(req.Table, req.Labels, req.Classes, span(0, req.Train), req.Shape)
	if err != nil {
		return nil, err
	}
	root.prune(req.Gain)
	out := &response{Tree: root}
	out.Confusion, out.Accuracy, err = confusion(req.Table, req.Labels, req.Classes, root, span(req.Train, req.Table.Rows))
	return out, err
}

// span lists the numbers from one up to another, without that.
func span(from, to int) []int {
	out := make([]int, 0, to-from)
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

// niceness of the child: a decision or a refit goes first.
const niceness = 10

// yield makes this thread, which does the work, give way to other processes. Not
// being allowed to is no fault.
func yield() {
	runtime.LockOSThread() // never unlocked: the niceness stays with the thread
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, niceness)
}

// limitMemory makes the collector work harder near the limit and the kernel refuse
// what is beyond it, which ends the process. Address space is limited, and what the
// process has of it already comes on top: Go reserves far more than it uses.
func limitMemory(bytes int64) error {
	debug.SetMemoryLimit(bytes - bytes/8)
	limit := uint64(max(bytes, 0)) + reserved()
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		return fmt.Errorf("limit the memory: %w", err)
	}
	return nil
}

// reserved is the address space that the process has, in bytes; where the system does
// not tell, what Go takes to start.
func reserved() uint64 {
	const usual = 1 << 31
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return usual
	}
	var pages uint64
	if _, err := fmt.Sscan(string(text), &pages); err != nil {
		return usual
	}
	return pages * uint64(os.Getpagesize()) //nolint:gosec // a page is not negative
}
