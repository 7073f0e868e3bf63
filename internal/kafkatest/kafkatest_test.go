package kafkatest

import (
	"net"
	"testing"
	"time"
)

// TestKillAndRestart: the address is dead after a kill and serves again after a
// restart.
func TestKillAndRestart(t *testing.T) {
	b := Start(t)
	if !accepts(t, b.Addr()) {
		t.Fatal("a started broker does not accept connections")
	}
	b.Kill()
	if accepts(t, b.Addr()) {
		t.Fatal("a killed broker accepts connections")
	}
	b.Restart()
	if !accepts(t, b.Addr()) {
		t.Fatal("a restarted broker does not accept connections")
	}
}

func accepts(t *testing.T, addr string) bool {
	t.Helper()
	d := net.Dialer{Timeout: 5 * time.Second}
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}
