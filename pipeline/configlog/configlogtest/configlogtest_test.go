package configlogtest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/configlog/configlogtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	t.Parallel()
	configlogtest.TestLog(t, func(*testing.T) configlog.Log { return new(configlog.Memory) })
}
