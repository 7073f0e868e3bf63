package trainer

import (
	"strings"
	"testing"
	"time"
)

func TestNextFitSaysWhatIsWaitedFor(t *testing.T) {
	c, now := DefaultConfig(), time.Unix(1_800_000_000, 0)
	for _, one := range []struct {
		rows, fitted int64
		made         time.Time
		want         string
	}{
		{40, 0, time.Time{}, "waits for 60 more rows"},
		{100, 0, time.Time{}, "no model yet"},
		{250, 100, now, "grown from 100 to 250"},
		{140, 100, now.Add(-time.Minute), "40 rows are new"},
		{140, 100, now, "at 200 rows"},
		{2050, 2000, now, "at 2200 rows"},
	} {
		if got := c.NextFit(one.rows, one.fitted, one.made, now); !strings.Contains(got, one.want) {
			t.Errorf("%+v: %q", one, got)
		}
	}
}
