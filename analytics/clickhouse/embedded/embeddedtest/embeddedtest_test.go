package embeddedtest_test

import (
	"net"
	"os"
	"testing"

	"github.com/usherhq/usher/analytics/clickhouse/embedded"
	"github.com/usherhq/usher/analytics/clickhouse/embedded/embeddedtest"
)

var engine *embedded.Server

func TestMain(m *testing.M) {
	os.Exit(embeddedtest.Main(m, func(s *embedded.Server) { engine = s }))
}

func TestEngineListens(t *testing.T) {
	conn, err := net.Dial("tcp", engine.NativeAddr())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}
