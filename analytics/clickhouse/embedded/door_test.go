package embedded

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// greeting makes a client's first packet, revision 54460.
func greeting(database string, user User) []byte {
	packet := []byte{0}
	text := func(s string) {
		packet = binary.AppendUvarint(packet, uint64(len(s)))
		packet = append(packet, s...)
	}
	text("test")
	for _, n := range []uint64{1, 1, 54400} {
		packet = binary.AppendUvarint(packet, n)
	}
	text(database)
	text(user.Name)
	text(user.Password)
	return packet
}

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		t.Fatal("no TCP connection")
	}
	if err := tcp.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return tcp
}

// reset closes a connection the rude way.
func reset(t *testing.T, conn *net.TCPConn) {
	t.Helper()
	if err := conn.SetLinger(0); err != nil {
		t.Error(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

// Each of these ends the bare engine, see the package's comment.
func TestRudeClientsDoNotHurtTheEngine(t *testing.T) {
	s, _ := start(t, testConfig(t.TempDir()))
	mustAsk(t, s, s.Writer(), "CREATE DATABASE usher ENGINE = Atomic")
	native, web := s.NativeAddr(), s.HTTPAddr()
	writer := s.Writer()
	say := func(addr string, message []byte, end bool) string {
		conn := dial(t, addr)
		defer conn.Close()
		if _, err := conn.Write(message); err != nil {
			t.Fatal(err)
		}
		if end { // a web server takes the end of input for the client's death
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
		}
		answer, _ := io.ReadAll(conn) // a refused connection may be reset
		return string(answer)
	}
	for name, test := range map[string]struct {
		addr    string
		message []byte
		want    string // part of the answer
	}{
		"wrong password":     {native, greeting("", User{UserWriter, "guess"}), "Authentication failed"},
		"no password":        {native, greeting("usher", User{UserWriter, ""}), "Authentication failed"},
		"unknown user":       {native, greeting("", User{"mallory", ""}), "Authentication failed"},
		"unknown database":   {native, greeting("nowhere", writer), "Database nowhere does not exist"},
		"odd database":       {native, greeting("a' OR 1 --", writer), "does not exist"},
		"other packet":       {native, []byte{77, 1, 2, 3}, ""},
		"endless number":     {native, bytes.Repeat([]byte{0xff}, 30), ""},
		"huge string":        {native, []byte{0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, ""},
		"HTTP there":         {native, []byte("GET / HTTP/1.1\r\n\r\n"), ""},
		"half a greeting":    {native, greeting("", writer)[:7], ""},
		"a greeting alone":   {native, greeting("usher", writer), "ClickHouse"},
		"no HTTP":            {web, []byte("\x00\x01garbage\r\n\r\n"), "400 Bad Request"},
		"native there":       {web, greeting("", writer), "400 Bad Request"},
		"long header":        {web, []byte("GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 300_000) + "\r\n\r\n"), "431"},
		"odd method":         {web, []byte("FOO / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "HTTP/1.1"},
		"wrong HTTP login":   {web, []byte("GET /?query=SELECT+1&user=usher HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "Authentication failed"},
		"half an HTTP body":  {web, []byte("POST /?query=SELECT+1 HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nab"), ""},
		"a broken chunk":     {web, []byte("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), ""},
		"two content-length": {web, []byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), "400"},
	} {
		if got := say(test.addr, test.message, test.want == "" || test.addr == native); !strings.Contains(got, test.want) {
			t.Errorf("%s: the answer is %q", name, got)
		}
		if _, err := ask(s, writer, "SELECT 1"); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
	for _, message := range [][]byte{nil, greeting("usher", writer)[:9], greeting("usher", writer)} {
		for _, addr := range []string{native, web} {
			conn := dial(t, addr)
			if _, err := conn.Write(message); err != nil {
				t.Fatal(err)
			}
			reset(t, conn)
		}
	}
	mustAsk(t, s, writer, "SELECT 1")
	if n := s.Deaths(); n != 0 {
		t.Errorf("the engine died %d times", n)
	}
}

// Clients that go away in the middle of whatever they do.
func TestResetsInTheMiddleDoNotHurtTheEngine(t *testing.T) {
	s, _ := start(t, testConfig(t.TempDir()))
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			conn := dial(t, s.HTTPAddr())
			fmt.Fprintf(conn, "GET /?query=SELECT+number+FROM+numbers(1000000) HTTP/1.1\r\nHost: x\r\n\r\n")
			if _, err := io.CopyN(io.Discard, conn, int64(1+i*500)); err != nil {
				t.Error(err)
			}
			reset(t, conn)
		})
		wg.Go(func() {
			conn := dial(t, s.NativeAddr())
			if _, err := conn.Write(greeting("", s.Writer())); err != nil {
				t.Error(err)
			}
			if _, err := bufio.NewReader(conn).ReadByte(); err != nil {
				t.Error(err)
			}
			// A query packet cut off at a random place.
			query := append([]byte{1, 0}, bytes.Repeat([]byte{byte(i)}, i)...)
			if _, err := conn.Write(query); err != nil {
				t.Error(err)
			}
			if i%2 == 0 {
				reset(t, conn)
			} else if err := conn.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	mustAsk(t, s, s.Writer(), "SELECT 1")
	if n := s.Deaths(); n != 0 {
		t.Errorf("the engine died %d times", n)
	}
}

// Questions that are given up at any moment, with small, failing and long answers.
func TestImpatientQuestionsDoNotHurtTheEngine(t *testing.T) {
	s, _ := start(t, testConfig(t.TempDir()))
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for _, query := range []string{"SELECT 1", "SELECT nonsense", "SELECT number FROM numbers(300000)", "SELECT 1"} {
		var wg sync.WaitGroup
		for worker := range 4 {
			wg.Go(func() {
				for i := range 50 {
					patience := time.Duration((i*37+worker*11)%150) * 40 * time.Microsecond
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.HTTPAddr()+"/", strings.NewReader(query))
					if err != nil {
						t.Error(err)
					}
					if resp, err := client.Do(req); err == nil {
						_ = resp.Body.Close() // unread
					}
					cancel()
				}
			})
		}
		wg.Wait()
	}
	mustAsk(t, s, s.Writer(), "SELECT 1")
	if n := s.Deaths(); n != 0 {
		t.Errorf("the engine died %d times", n)
	}
}

// A connection made while the engine is being replaced waits for the next one.
func TestConnectionsWaitForTheNextEngine(t *testing.T) {
	s, _ := start(t, testConfig(t.TempDir()))
	for range 3 {
		pid := s.PID()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the death is noticed", func() bool { return s.PID() != pid })
		conn := dial(t, s.NativeAddr())
		if _, err := conn.Write(greeting("", s.Writer())); err != nil {
			t.Fatal(err)
		}
		if kind, err := bufio.NewReader(conn).ReadByte(); err != nil || kind != 0 {
			t.Errorf("the greeting was answered with %d (%v)", kind, err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		mustAsk(t, s, s.Writer(), "SELECT 1")
	}
}

func FuzzGreeting(f *testing.F) {
	f.Add(greeting("usher", User{UserWriter, "secret"}))
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bufio.NewReader(bytes.NewReader(data))
		h, err := readHello(in)
		if err != nil {
			return
		}
		rest, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(append(h.raw, rest...), data) {
			t.Errorf("%d bytes became %d and %d", len(data), len(h.raw), len(rest))
		}
	})
}
