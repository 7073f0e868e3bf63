package embedded

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// The codes of the two refusals, as a ClickHouse server would answer them.
const (
	codeUnknownDatabase      = 81
	codeAuthenticationFailed = 516
)

const (
	helloLimit   = 64 << 10
	helloTimeout = 10 * time.Second
	// upstreamWait is how long a new connection waits for an engine that is being
	// started again.
	upstreamWait = 10 * time.Second
)

// door takes native connections for the engine. In this build of the engine any
// exception that leaves a connection's thread ends the whole process: a reset, a
// wrong password, an unknown database, a greeting that is no greeting. The door
// lets none of them through: it reads and checks the greeting itself, and it turns
// a client's reset into an orderly end.
type door struct {
	users    map[string]User
	database func(ctx context.Context, name string) (bool, error) // does it exist
	dial     func(ctx context.Context) (*net.TCPConn, error)      // reaches the engine
}

// serve accepts until ctx ends, then closes every connection and waits for them.
func (d *door) serve(ctx context.Context, l net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept native connections: %w", err)
		}
		tcp, ok := conn.(*net.TCPConn)
		if !ok {
			return fmt.Errorf("accept native connections: %T is no TCP connection", conn)
		}
		wg.Go(func() { d.handle(ctx, tcp) })
	}
}

// handle serves one client to its end.
func (d *door) handle(ctx context.Context, client *net.TCPConn) {
	// A connection's errors have nobody to go to but the client itself.
	defer client.Close()
	closeClient := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer closeClient()
	_ = client.SetDeadline(time.Now().Add(helloTimeout))
	in := bufio.NewReaderSize(client, 4<<10)
	h, err := readHello(in)
	if err != nil {
		return
	}
	if refusal := d.check(ctx, h); refusal != nil {
		_, _ = client.Write(refusal)
		return
	}
	engine, err := d.dial(ctx)
	if err != nil {
		return
	}
	defer engine.Close()
	closeEngine := context.AfterFunc(ctx, func() { _ = engine.CloseWrite() })
	defer closeEngine()
	_ = client.SetDeadline(time.Time{})
	ahead, err := in.Peek(in.Buffered())
	if err != nil {
		return
	}
	if _, err := engine.Write(append(h.raw, ahead...)); err != nil {
		return
	}
	pipe(client, engine)
}

// pipe moves bytes both ways until both sides are done. Whatever the client does,
// the engine sees the end of its input and can send all it has left.
func pipe(client, engine *net.TCPConn) {
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(engine, client)
		_ = engine.CloseWrite()
	})
	if _, err := io.Copy(client, engine); err != nil {
		_, _ = io.Copy(io.Discard, engine)
	}
	_ = client.Close() // ends the other direction
	wg.Wait()
}

// check returns the refusal to send, nil when the engine will accept the greeting.
func (d *door) check(ctx context.Context, h hello) []byte {
	user, known := d.users[h.user]
	given, want := sha256.Sum256([]byte(h.password)), sha256.Sum256([]byte(user.Password))
	if subtle.ConstantTimeCompare(given[:], want[:]) != 1 || !known {
		return exception(codeAuthenticationFailed, fmt.Sprintf(
			"%s: Authentication failed: password is incorrect, or there is no user with such name", h.user))
	}
	if h.database == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	switch there, err := d.database(ctx, h.database); {
	case err != nil:
		return exception(codeUnknownDatabase, "the engine is not reachable: "+err.Error())
	case !there:
		return exception(codeUnknownDatabase, fmt.Sprintf("Database %s does not exist", h.database))
	}
	return nil
}

// hello is the first packet of the native protocol; raw is all of its bytes.
type hello struct {
	database, user, password string
	raw                      []byte
}

// recorder keeps what is read through it.
type recorder struct {
	in  *bufio.Reader
	raw []byte
}

// ReadByte implements io.ByteReader for varints.
func (r *recorder) ReadByte() (byte, error) {
	if len(r.raw) >= helloLimit {
		return 0, errors.New("the greeting is too long")
	}
	b, err := r.in.ReadByte()
	if err == nil {
		r.raw = append(r.raw, b)
	}
	return b, err
}

func (r *recorder) text() (string, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return "", err
	}
	if n > helloLimit || len(r.raw)+int(n) > helloLimit { //nolint:gosec // checked by the first half
		return "", errors.New("the greeting is too long")
	}
	start := len(r.raw)
	r.raw = append(r.raw, make([]byte, n)...)
	if _, err := io.ReadFull(r.in, r.raw[start:]); err != nil {
		return "", err
	}
	return string(r.raw[start:]), nil
}

// readHello reads: packet type 0, client name, three version numbers, database,
// user, password.
func readHello(in *bufio.Reader) (hello, error) {
	r := &recorder{in: in}
	kind, err := binary.ReadUvarint(r)
	if err != nil {
		return hello{}, err
	}
	if kind != 0 {
		return hello{}, fmt.Errorf("the first packet is of type %d", kind)
	}
	if _, err := r.text(); err != nil {
		return hello{}, err
	}
	for range 3 {
		if _, err := binary.ReadUvarint(r); err != nil {
			return hello{}, err
		}
	}
	var h hello
	for _, field := range []*string{&h.database, &h.user, &h.password} {
		if *field, err = r.text(); err != nil {
			return hello{}, err
		}
	}
	h.raw = r.raw
	return h, nil
}

// exception is the server's packet of type 2.
func exception(code int32, message string) []byte {
	packet := []byte{2}
	packet = binary.LittleEndian.AppendUint32(packet, uint32(code)) //nolint:gosec // two positive codes
	for _, text := range []string{"DB::Exception", "DB::Exception: " + message, ""} {
		packet = binary.AppendUvarint(packet, uint64(len(text)))
		packet = append(packet, text...)
	}
	return append(packet, 0) // no nested exception
}
