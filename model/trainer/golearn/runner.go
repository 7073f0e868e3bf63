package golearn

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Limits bound one child.
type Limits struct {
	// Wall is how long it may work, Memory how many bytes it may take beyond what it
	// takes to start.
	Wall   time.Duration
	Memory int64
}

// Validate reports every limit that is out of range.
func (l Limits) Validate() error {
	var errs []error
	if l.Wall <= 0 {
		errs = append(errs, fmt.Errorf("wall is %s, must be above 0", l.Wall))
	}
	if l.Memory < leastMemory {
		errs = append(errs, fmt.Errorf("memory is %d bytes, must be at least %d", l.Memory, int64(leastMemory)))
	}
	return errors.Join(errs...)
}

// leastMemory is what a child needs to do anything: Go takes memory from the system
// in pieces of this size.
const leastMemory = 64 << 20

// Runner has golearn's work done in child processes. It is safe for concurrent use.
type Runner struct {
	// Command starts a process whose body is [RunChild].
	Command []string
	Limits  Limits
	// Environ is the child's whole environment beside what it is limited by.
	Environ []string
}

// What can end a child early. None of it quotes the child: golearn's words, and those
// of a crash, may hold values of attributes, which belong neither in a log nor on a
// card that no erasure reaches.
var (
	// ErrTime says that the work took longer than it may.
	ErrTime = errors.New("it took longer than it may and was ended")
	// ErrMemory says that the work took more memory than it may.
	ErrMemory = errors.New("it took more memory than it may and was ended")
	// ErrPanic says that golearn panicked.
	ErrPanic = errors.New("golearn panicked")
	// ErrChild says that the child gave no answer for another reason.
	ErrChild = errors.New("the child process failed")
)

// Sizes of what is read of a child at the most. Trees are small.
const (
	maxAnswer = 64 << 20
	maxWords  = 4 << 10
)

// grace is what a child may take beyond its own limit to start, read and write.
const grace = 5 * time.Second

// run has one request worked on. The child is gone when it returns.
func (r *Runner) run(ctx context.Context, req *request) (*response, error) {
	req.Wall, req.Memory = r.Limits.Wall, r.Limits.Memory
	var in bytes.Buffer
	if err := gob.NewEncoder(&in).Encode(req); err != nil {
		return nil, fmt.Errorf("write the request: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, r.Limits.Wall+grace)
	defer cancel()
	out, words := &bounded{most: maxAnswer}, &bounded{most: maxWords}
	cmd := exec.CommandContext(limited, r.Command[0], r.Command[1:]...) //nolint:gosec // our own binary
	cmd.Env = append([]string{"GOMAXPROCS=1", "GOTRACEBACK=none"}, r.Environ...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, out, words
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return nil, r.reason(ctx, limited, err, words.text.String())
	}
	var answer response
	if err := gob.NewDecoder(&out.text).Decode(&answer); err != nil {
		return nil, fmt.Errorf("%w: its answer cannot be read", ErrChild)
	}
	switch {
	case answer.Panicked:
		return nil, ErrPanic
	case answer.Failed:
		return nil, fmt.Errorf("%w: golearn gave an error", ErrChild)
	}
	return &answer, nil
}

// reason says why a child did not answer.
func (r *Runner) reason(ctx, limited context.Context, err error, words string) error {
	_, ended := errors.AsType[*exec.ExitError](err)
	deadline, _ := limited.Deadline() // it has one
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil, ended && time.Until(deadline) <= grace: // by its own timer
		return fmt.Errorf("%w: %s", ErrTime, r.Limits.Wall)
	case strings.Contains(words, "out of memory"), strings.Contains(words, "cannot allocate memory"):
		return fmt.Errorf("%w: %d MiB", ErrMemory, r.Limits.Memory>>20)
	case ended:
		return fmt.Errorf("%w: %w", ErrChild, err) // its exit status
	}
	return fmt.Errorf("start the child: %w", err)
}

// bounded keeps the beginning of what is written to it and takes the rest without a
// word, so that the writer can end.
type bounded struct {
	text bytes.Buffer
	most int
}

func (b *bounded) Write(p []byte) (int, error) {
	b.text.Write(p[:min(len(p), max(0, b.most-b.text.Len()))])
	return len(p), nil
}
