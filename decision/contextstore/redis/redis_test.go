package redis_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/decision/contextstore/enginetest"
	"github.com/usherhq/usher/decision/contextstore/redis"
	"github.com/usherhq/usher/decision/contextstore/redistest"
	"github.com/usherhq/usher/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func engine(t testing.TB, cfg redis.Config) *redis.Engine {
	t.Helper()
	e, err := redis.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestEngine(t *testing.T) {
	s := redistest.Start(t)
	enginetest.Run(t, engine(t, redis.Config{Addrs: []string{s.Addr()}}))
}

func TestEngineOnACluster(t *testing.T) {
	s := redistest.StartCluster(t)
	enginetest.Run(t, engine(t, redis.Config{Addrs: []string{s.Addr()}, Cluster: true}))
}

func TestCrashAndReturn(t *testing.T) {
	s := redistest.Start(t)
	e := engine(t, redis.Config{Addrs: []string{s.Addr()}})
	key := contextstore.Key{Namespace: "n", Session: "s"}
	put := func(expect, version uint64) error {
		return e.Commit(t.Context(), "a", []contextstore.Mutation{
			{Key: key, Op: contextstore.Put, Expect: expect, Record: contextstore.NewHeader(version, 1<<50)},
		})
	}
	if err := put(0, 1); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	if err := put(1, 2); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("writing while the server is away answers %v", err)
	}
	if _, err := e.Read(t.Context(), "a", []contextstore.Key{key}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("reading while the server is away answers %v", err)
	}
	s.Restart()
	if err := put(1, 2); err != nil {
		t.Errorf("what was acknowledged before the crash is lost: %v", err)
	}
}

func TestPassword(t *testing.T) {
	s := redistest.Start(t, "--requirepass", "hunter2")
	if err := engine(t, redis.Config{Addrs: []string{s.Addr()}, Password: "hunter2"}).Ping(t.Context()); err != nil {
		t.Error(err)
	}
	for _, wrong := range []string{"", "hunter3"} {
		err := engine(t, redis.Config{Addrs: []string{s.Addr()}, Password: wrong}).Ping(t.Context())
		if fault.KindOf(err) != fault.Precondition || strings.Contains(err.Error(), "hunter") {
			t.Errorf("password %q answers %v", wrong, err)
		}
	}
}

// A decision's budget ends a call even when the server hangs.
func TestDeadline(t *testing.T) {
	s := redistest.Start(t)
	e := engine(t, redis.Config{Addrs: []string{s.Addr()}})
	if err := e.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := e.Read(ctx, "a", []contextstore.Key{{Namespace: "n", Session: "s"}})
	if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > time.Second {
		t.Errorf("a read from a hanging server answers %v after %v", err, took)
	}
}

func TestConfig(t *testing.T) {
	if _, err := redis.New(redis.Config{}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("no address answers %v", err)
	}
}

func BenchmarkLoad(b *testing.B) {
	s := redistest.Start(b)
	enginetest.BenchmarkLoad(b, engine(b, redis.Config{Addrs: []string{s.Addr()}}))
}
