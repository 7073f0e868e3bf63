package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait of the end-to-end tests.
const patience = 60 * time.Second

// process is one run of the binary.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	ready readyLine
	out   *tail
	done  chan struct{} // closes when it has ended
	err   error         // how; read after done
}

// tail keeps the last output of a process for failure messages.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (b *tail) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	const most = 16 << 10
	b.text = append(b.text, p...)
	b.text = b.text[max(0, len(b.text)-most):]
	return len(p), nil
}

func (b *tail) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}

// launch starts the binary and waits for its ready line. It is killed at the end
// of the test if it still runs.
func launch(t *testing.T, args ...string) *process {
	t.Helper()
	p, err := tryLaunch(t, args...)
	if err != nil {
		t.Fatalf("usher %s: %v\n%s", strings.Join(args, " "), err, p.out)
	}
	return p
}

func tryLaunch(t *testing.T, args ...string) (*process, error) {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(binary(), append(args, "--ready-json")...), out: &tail{}, done: make(chan struct{})}
	p.cmd.Stderr = p.out
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return p, err
	}
	if err := p.cmd.Start(); err != nil {
		return p, err
	}
	t.Cleanup(p.kill)
	lines := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			select {
			case lines <- s.Text():
			default:
				fmt.Fprintln(p.out, "more than one line on standard output:", s.Text())
			}
		}
	}()
	go func() {
		<-read
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	select {
	case line := <-lines:
		if err := json.Unmarshal([]byte(line), &p.ready); err != nil || !p.ready.Ready {
			return p, fmt.Errorf("the ready line is %q: %w", line, err)
		}
		return p, nil
	case <-p.done:
		return p, fmt.Errorf("it ended before it was ready: %w", p.err)
	case <-time.After(patience):
		return p, fmt.Errorf("it was not ready within %v", patience)
	}
}

// kill ends the process as a power cut would, and waits for it.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may be gone already
	<-p.done
}

// stop asks it to stop and wants a clean exit.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatalf("stop: %v\n%s", err, p.out)
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("it did not stop within %v\n%s", patience, p.out)
	}
	if p.err != nil {
		p.t.Fatalf("it did not stop cleanly: %v\n%s", p.err, p.out)
	}
}

// free are the flags that choose free ports for everything.
func free(dataDir string) []string {
	return []string{
		"up", "--data-dir", dataDir, "--clickhouse-lib", engineFolder(),
		"--http-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0",
		"--kafka-addr", "127.0.0.1:0", "--clickhouse-addr", "127.0.0.1:0", "--clickhouse-http-addr", "127.0.0.1:0",
	}
}

// engineFolder is where the engine's npm package was installed.
func engineFolder() string {
	folder, err := filepath.Abs("../../deploy/engine")
	if err != nil {
		return err.Error()
	}
	return folder
}

// client calls one instance's REST door.
type client struct {
	t     *testing.T
	addr  string
	token string
}

func (p *process) client(token string) *client {
	return &client{t: p.t, addr: p.ready.HTTP, token: token}
}

// try makes one call and decodes the answer into out when that is not nil.
func (c *client) try(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.addr+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// must is try for calls that may not fail.
func (c *client) must(method, path string, in, out any) {
	c.t.Helper()
	if err := c.try(c.t.Context(), method, path, in, out); err != nil {
		c.t.Fatal(err)
	}
}

// query asks ClickHouse over HTTP, as a person on this machine would, and returns
// the answer's lines, tab separated.
func query(ctx context.Context, addr, sql string) (string, error) {
	u := "http://" + addr + "/?" + url.Values{"query": {sql}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("query %q: %s: %s", sql, resp.Status, text)
	}
	return strings.TrimSpace(string(text)), nil
}

// eventually polls until check is satisfied, or fails with its last complaint.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
		pause(t.Context(), 50*time.Millisecond)
	}
}
