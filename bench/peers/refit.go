package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/usherhq/usher/model"
)

// logged is a log of even draws over a table with known answers: what both sides
// are refitted to, and rows on which the learned policies are played.
type logged struct {
	name string
	arms []model.Arm
	rows []loggedRow
	held int // rows at the end that are not learned
}

type loggedRow struct {
	words         []string
	right, chosen int
}

func (l *logged) train() []loggedRow { return l.rows[:len(l.rows)-l.held] }
func (l *logged) rest() []loggedRow  { return l.rows[len(l.rows)-l.held:] }

// customerLog is ten arms and thirty categories; intentLog real requests of 150 intents,
// named by number, so that nothing but outcomes can tell them.
func customerLog() *logged {
	l := &logged{name: "10 arms, 30 categories", arms: choices(), held: 1000}
	r := rand.New(rand.NewPCG(9, 9))
	for _, c := range customers(21_000) {
		row := loggedRow{right: c.right, chosen: r.IntN(arms)}
		for i, v := range c.values {
			row.words = append(row.words, names30[i]+"="+v)
		}
		l.rows = append(l.rows, row)
	}
	return l
}

func intentLog() (*logged, error) {
	table, err := readIntents("../../model/evaluate/testdata/multiclass/clinc150.tsv.gz")
	if err != nil {
		return nil, err
	}
	l := &logged{name: "150 arms, requests of 8 words", held: 1000}
	r := rand.New(rand.NewPCG(9, 9))
	number := map[string]int{}
	for _, at := range r.Perm(len(table)) {
		intent, text := table[at][2], table[at][3]
		right, ok := number[intent]
		if !ok {
			right = len(number)
			number[intent] = right
			l.arms = append(l.arms, model.Arm{ID: strconv.Itoa(right)})
		}
		l.rows = append(l.rows, loggedRow{words: strings.Fields(text), right: right, chosen: right})
	}
	for i := range l.rows {
		if r.Float64() > knownShare { // even draws alone would be right in one row of 150
			l.rows[i].chosen = r.IntN(len(l.arms))
		}
	}
	return l, nil
}

// knownShare of the intents' log is right by design.
const knownShare = 0.2

// readIntents returns the rows within scope: split, domain, intent, text.
func readIntents(path string) (rows [][]string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(zr)
	for lines.Scan() {
		if cells := strings.Split(lines.Text(), "\t"); len(cells) == 4 && cells[2] != "oos" && cells[2] != "intent" {
			rows = append(rows, cells)
		}
	}
	return rows, lines.Err()
}

// propensity of the logged action: customers are drawn evenly, intents are right in a
// fifth and even draws otherwise.
func (l *logged) propensity(r loggedRow) float64 {
	even := 1 / float64(len(l.arms))
	if len(l.arms) == arms {
		return even
	}
	if r.chosen == r.right {
		return knownShare + (1-knownShare)*even
	}
	return (1 - knownShare) * even
}

func (r loggedRow) fill(f *model.Features) {
	f.Reset()
	for _, w := range r.words {
		f.AddString("word", w)
	}
}

// ours refits once, encoding included, and returns the time and the share right of
// the greedy policy on rows that were not learned.
func (l *logged) ours() (time.Duration, float64, error) {
	learner, err := model.New(model.DefaultConfig())
	if err != nil {
		return 0, 0, err
	}
	var ctx model.Features
	begin := time.Now()
	for _, r := range l.train() {
		r.fill(&ctx)
		e := model.Example{Context: &ctx, Arms: l.arms, Chosen: r.chosen, Propensity: l.propensity(r)}
		if r.chosen == r.right {
			e.Reward = 1
		}
		if err := learner.Learn(e); err != nil {
			return 0, 0, err
		}
	}
	took := time.Since(begin)
	scores, right := make([]model.Score, len(l.arms)), 0
	for _, r := range l.rest() {
		r.fill(&ctx)
		learner.Score(&ctx, l.arms, scores)
		best := 0
		for i := range scores {
			if scores[i].Value > scores[best].Value {
				best = i
			}
		}
		if best == r.right {
			right++
		}
	}
	return took, float64(right) / float64(l.held), nil
}

// way is how Vowpal Wabbit is given a log.
type way struct {
	options string
	perArm  bool // an example line per arm
}

func (l *logged) ways() []way {
	bits := 18 // its default, enough for a few thousand weights
	if len(l.arms) > arms {
		bits = 22
	}
	return []way{
		{options: fmt.Sprintf("--cb %d --cb_type dm -b %d", len(l.arms), bits)},
		{options: fmt.Sprintf("--cb %d --cb_type dr -b %d", len(l.arms), bits)},
		{options: fmt.Sprintf("--cb_adf --cb_type mtr -q xa -b %d", bits), perArm: true},
	}
}

// write makes Vowpal Wabbit's files.
func (l *logged) write(dir string, w way) error {
	one := func(out io.Writer, r loggedRow, label bool) {
		said := ""
		if label {
			cost := 0
			if r.chosen == r.right {
				cost = -1
			}
			said = fmt.Sprintf(":%d:%g ", cost, l.propensity(r))
		}
		words := strings.NewReplacer(":", "_", "|", "_").Replace(strings.Join(r.words, " "))
		if !w.perArm {
			if label {
				said = strconv.Itoa(r.chosen+1) + said
			}
			fmt.Fprintf(out, "%s| %s\n", said, words)
			return
		}
		fmt.Fprintf(out, "shared |x %s\n", words)
		for a := range l.arms {
			if label && a == r.chosen {
				fmt.Fprintf(out, "0%s", said)
			}
			fmt.Fprintf(out, "|a a%d\n", a)
		}
		fmt.Fprintln(out)
	}
	for name, rows := range map[string][]loggedRow{"train.vw": l.train(), "held.vw": l.rest()} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		out := bufio.NewWriter(f)
		for _, r := range rows {
			one(out, r, name == "train.vw")
		}
		if err := errors.Join(out.Flush(), f.Close()); err != nil {
			return err
		}
	}
	var right strings.Builder
	for _, r := range l.rest() {
		fmt.Fprintln(&right, r.right+1)
	}
	return os.WriteFile(filepath.Join(dir, "right.txt"), []byte(right.String()), 0o600)
}

// theirs trains Vowpal Wabbit from its cache.
func (l *logged) theirs(python string, w way) (took time.Duration, right float64, err error) {
	dir, err := os.MkdirTemp("", "peers")
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := l.write(dir, w); err != nil {
		return 0, 0, err
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	cmd := exec.Command(python, append([]string{"learners/rate.py", "3", in("train.vw"), in("held.vw"), in("right.txt")}, strings.Fields(w.options)...)...)
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return 0, 0, fmt.Errorf("vw %s: %w", w.options, err)
	}
	var res struct{ Seconds, Right float64 }
	if err := json.Unmarshal(text, &res); err != nil {
		return 0, 0, fmt.Errorf("vw %s: %w", w.options, err)
	}
	return time.Duration(res.Seconds * float64(time.Second)), res.Right, nil
}

// benchRefit compares a refit of ours with Vowpal Wabbit's from its cache.
func benchRefit(python string, rounds int) ([]row, error) {
	if _, err := exec.LookPath(python); err != nil {
		fmt.Fprintf(os.Stderr, "refit: left out, there is no %s with Vowpal Wabbit; `make peers` makes one where Python is installed\n", python)
		return nil, nil
	}
	intents, err := intentLog()
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, l := range []*logged{customerLog(), intents} {
		best, right := time.Duration(1<<62), 0.0
		for range rounds {
			took, share, err := l.ours()
			if err != nil {
				return nil, err
			}
			best, right = min(best, took), share
		}
		n := float64(len(l.train()))
		for _, w := range l.ways() {
			took, theirs, err := l.theirs(python, w)
			if err != nil {
				return nil, err
			}
			ratio := took.Seconds() / best.Seconds()
			goal, met := ">= 5 at equal loss", ratio >= 5 && right >= theirs
			if right > theirs+0.02 {
				goal = ">= 5" // it is the better one as well
			}
			rows = append(rows, row{
				what: "refit rows a second / VW cached, " + l.name, ours: rateText(n/best.Seconds(), "/s"), theirs: rateText(n/took.Seconds(), "/s"),
				ratio: ratio, goal: goal, met: met,
				note: fmt.Sprintf("right on unseen rows: ours %.3f, vw %s %.3f", right, w.options, theirs),
			})
		}
	}
	return rows, nil
}
