package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is one run of the child.
type process struct {
	cmd      *exec.Cmd
	stdin    io.WriteCloser // its end asks the engine to stop
	lifeline *os.File       // its end tells the child that there is no parent
	output   string         // file with what the child printed
	done     chan struct{}  // closed when the child has been waited for
	err      error          // how it ended; read after done
}

// spawn starts the child in a process group of its own.
func spawn(executable string, childArgs []string, f childFlags) (*process, error) {
	output := filepath.Join(f.dataDir, "engine.out")
	out, err := os.OpenFile(output, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the engine's output: %w", err)
	}
	defer out.Close()
	childEnd, parentEnd, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the lifeline: %w", err)
	}
	defer childEnd.Close()
	// No context: this process is stopped by closing its input, see stop.
	cmd := exec.Command(executable, append(append([]string{}, childArgs...), f.args()...)...) //nolint:gosec,noctx // our own executable
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{childEnd}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the engine's input: %w", err), parentEnd.Close())
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the engine: %w", err), parentEnd.Close())
	}
	p := &process{cmd: cmd, stdin: stdin, lifeline: parentEnd, output: output, done: make(chan struct{})}
	go p.wait()
	return p, nil
}

func (p *process) wait() {
	p.err = p.cmd.Wait()
	// The child is gone; the pipe has no reader any more.
	_ = p.lifeline.Close()
	close(p.done)
}

// stop ends the child: cleanly within timeout, by force after it. It returns once
// the child has been waited for, with an error when force was needed.
func (p *process) stop(timeout time.Duration) error {
	// Closing twice is harmless: Wait closes it as well.
	_ = p.stdin.Close()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		p.kill()
		return fmt.Errorf("stop the engine: it did not end within %v and was killed", timeout)
	}
}

// kill ends the child at once and waits for it.
func (p *process) kill() {
	// It may have ended on its own meanwhile; done tells.
	_ = p.cmd.Process.Kill()
	<-p.done
}

// tail is the last lines the child printed, for error messages.
func (p *process) tail() string {
	text, err := os.ReadFile(p.output)
	if err != nil {
		return "its output cannot be read: " + err.Error()
	}
	const most = 2000
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return strings.TrimSpace(string(text))
}

// probe asks the engine over HTTP, as the writer, whether it answers queries.
func probe(ctx context.Context, client *http.Client, addr string, user User) error {
	text, err := query(ctx, client, addr, user, "SELECT 1", nil)
	if err == nil && text != "1" {
		err = fmt.Errorf("ask the engine: it answered %q", text)
	}
	return err
}

// ping asks the engine whether it is there; unlike probe it does not need a free
// place among the running queries.
func ping(ctx context.Context, client *http.Client, addr string, _ User) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/ping", nil)
	if err != nil {
		return fmt.Errorf("ping the engine: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ping the engine: %w", err)
	}
	return resp.Body.Close()
}
