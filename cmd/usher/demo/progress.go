package demo

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows how far a run is: a live bar on a terminal, a line for every
// tenth elsewhere. It is decoration: what cannot be written is left out.
type progress struct {
	out   io.Writer
	total int
	bar   *progressbar.ProgressBar // nil when out is no terminal
	shown time.Time
}

// redraw is how often the live bar changes.
const redraw = 200 * time.Millisecond

func newProgress(out io.Writer, total int) progress {
	p := progress{out: out, total: total}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(out), progressbar.OptionShowCount(),
			progressbar.OptionShowIts(), progressbar.OptionSetWidth(20), progressbar.OptionClearOnFinish())
	}
	return p
}

// step tells that done of the total are done; describe is asked only for what is
// shown.
func (p *progress) step(done int, describe func() string) {
	switch {
	case p.bar != nil && (time.Since(p.shown) >= redraw || done == p.total):
		p.shown = time.Now()
		p.bar.Describe(describe())
		_ = p.bar.Set(done)
	case p.bar == nil && done*10/p.total != (done-1)*10/p.total:
		_, _ = fmt.Fprintf(p.out, "%6d of %d  %s\n", done, p.total, describe())
	}
}

func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
