package redistest_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/usherhq/usher/decision/contextstore/redistest"
)

func TestAcknowledgedWritesOutliveTheServer(t *testing.T) {
	s := redistest.StartTCP(t)
	set := func(value string) {
		c := redis.NewClient(&redis.Options{Addr: s.Addr()})
		defer func() { _ = c.Close() }()
		if err := c.Append(t.Context(), "k", value).Err(); err != nil {
			t.Fatal(err)
		}
		if got := c.Get(t.Context(), "k").Val(); value == "2" && got != "12" {
			t.Errorf("k = %q after a crash, want 12", got)
		}
	}
	set("1")
	s.Kill()
	s.Restart()
	set("2")
}
