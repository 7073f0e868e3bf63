package model

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// taught returns a learner that has seen n examples of every kind of feature,
// with and without a baseline.
func taught(t testing.TB, n int, kinds ...string) *Learner {
	t.Helper()
	l, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	var ctx, own Features
	own.AddString("team", "west")
	own.AddNumber("seats", 12)
	for i := range n {
		describe(&ctx, i, kinds)
		arms := []Arm{{ID: "a"}, {ID: "b", Features: &own}, {ID: "c"}, {ID: "order_help"}}
		if contains(kinds, "baseline") {
			arms[i%3].Baseline = true
		}
		e := Example{Context: &ctx, Arms: arms, Chosen: (i / 2) % 3, Reward: float64((i / 3) % 2), Propensity: 0.5}
		if err := l.Learn(e); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func contains(kinds []string, k string) bool {
	return slices.Contains(kinds, k)
}

func describe(ctx *Features, i int, kinds []string) {
	ctx.Reset()
	ctx.AddString("channel", []string{"web", "phone", ""}[i%3])
	ctx.AddText("text", fmt.Sprintf("Please help with order number%d", i%7))
	if contains(kinds, "number") {
		ctx.AddNumber("wait", float64(i%50)*3)
		ctx.AddNumber("balance", -float64(i%11))
	}
	if contains(kinds, "many") {
		ctx.AddString("caller", fmt.Sprint(i%60)) // too many values for the dense family
	}
	if contains(kinds, "numbers") {
		for k := range 40 {
			ctx.AddNumber(fmt.Sprint("n", k), float64((i*k)%13))
		}
	}
	ctx.Cross("channel", "text")
}

var taughtKinds = [][]string{{}, {"many"}, {"many", "number"}, {"number"}, {"numbers"}, {"baseline"}, {"baseline", "number"}}

func TestArtifactKeepsEveryScore(t *testing.T) {
	for _, kinds := range taughtKinds {
		t.Run(fmt.Sprint(kinds), func(t *testing.T) {
			m := taught(t, 120, kinds...).Snapshot("v7")
			data := m.Encode()
			back, err := Decode(data)
			if err != nil {
				t.Fatal(err)
			}
			if back.Version() != "v7" || back.SchemaHash() != m.SchemaHash() || back.Family() != m.Family() {
				t.Errorf("version %q, schema %x, family %s", back.Version(), back.SchemaHash(), back.Family())
			}
			if !bytes.Equal(back.Encode(), data) {
				t.Error("encoding a decoded model gives other bytes")
			}
			var ctx Features
			var s1, s2 Scratch
			one, two := make([]Score, 4), make([]Score, 4)
			for i := range 50 {
				describe(&ctx, i, kinds)
				arms := []Arm{{ID: "a"}, {ID: "b"}, {ID: "c", Baseline: i%2 == 0}, {ID: "never seen"}}
				m.Score(&s1, &ctx, arms, one)
				back.Score(&s2, &ctx, arms, two)
				for k := range one {
					if one[k] != two[k] {
						t.Fatalf("row %d arm %s: %+v before, %+v after", i, arms[k].ID, one[k], two[k])
					}
				}
			}
		})
	}
}

func TestSameExamplesGiveSameBytes(t *testing.T) {
	for _, kinds := range taughtKinds {
		a := taught(t, 200, kinds...).Snapshot("v").Encode()
		b := taught(t, 200, kinds...).Snapshot("v").Encode()
		if !bytes.Equal(a, b) {
			t.Errorf("%v: two runs gave different artifacts", kinds)
		}
	}
}

// Memory is bounded by MaxCells whichever of features and arms come first.
func TestTablesStayWithinTheirBounds(t *testing.T) {
	for name, featuresFirst := range map[string]bool{"features first": true, "arms first": false} {
		cfg := DefaultConfig()
		cfg.MaxCells = 1 << 12
		l, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var ctx Features
		for i := range 2000 {
			feature, arm := i%1000, 0
			if (i < 1000) != featuresFirst {
				feature, arm = 0, i%1000
			}
			ctx.Reset()
			ctx.AddString("feature", fmt.Sprint(feature))
			e := Example{Context: &ctx, Arms: []Arm{{ID: fmt.Sprint(arm), Baseline: true}}, Reward: 1}
			if err := l.Learn(e); err != nil {
				t.Fatal(err)
			}
		}
		lin := &l.core.lin
		if cells := lin.rows.len() * lin.stride; cells > cfg.MaxCells || len(lin.w) > cfg.MaxCells || len(l.core.good.w) > cfg.MaxCells {
			t.Errorf("%s: %d rows x %d", name, lin.rows.len(), lin.stride)
		}
		if _, err := Decode(l.Snapshot("v").Encode()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A million distinct features and thousands of arms, with the default bounds:
// what does not fit is not learned, and neither memory nor artifact grows on.
func TestDefaultBoundsHoldAgainstAFlood(t *testing.T) {
	l, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	const perRow = 200
	arms := make([]Arm, 1)
	var ctx Features
	for i := range 1_000_000 / perRow {
		ctx.Reset()
		for k := range perRow {
			ctx.AddString("visitor", strconv.Itoa(i*perRow+k))
		}
		arms[0].ID = "skill for case " + strconv.Itoa(i) + "x"
		if err := l.Learn(Example{Context: &ctx, Arms: arms, Reward: float64(i % 2), Propensity: 1}); err != nil {
			t.Fatal(err)
		}
	}
	c, cfg := &l.core, DefaultConfig()
	if c.lin.rows.len() > cfg.MaxFeatures || c.lin.cols.len() > cfg.MaxArms+builtInCols || len(c.lin.w) > cfg.MaxCells {
		t.Errorf("%d rows, %d columns, %d cells", c.lin.rows.len(), c.lin.cols.len(), len(c.lin.w))
	}
	if c.names.stems.len() > limitStems || len(c.names.words) > c.lin.cols.len() {
		t.Errorf("%d stems of %d names", c.names.stems.len(), len(c.names.words))
	}
	if size := len(l.Snapshot("v").Encode()); size > 64<<20 {
		t.Errorf("the artifact has %d bytes", size)
	} else {
		t.Logf("%d rows, %d columns, %d cells, artifact of %d bytes", c.lin.rows.len(), c.lin.cols.len(), len(c.lin.w), size)
	}
}

func TestDecodeRefusesDamage(t *testing.T) {
	data := taught(t, 50, "number").Snapshot("v").Encode()
	flipped := bytes.Clone(data)
	flipped[len(flipped)/2] ^= 1
	foreign := bytes.Clone(data)
	foreign[0]++
	for name, bad := range map[string][]byte{
		"empty": nil, "short": data[:20], "cut": data[:len(data)-1], "longer": append(bytes.Clone(data), 0),
		"flipped bit": flipped, "foreign": foreign,
	} {
		if _, err := Decode(bad); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: error %v, want one that wraps ErrFormat", name, err)
		}
	}
}

// doctored changes an artifact and makes its checksum right again.
func doctored(data []byte, change func(body []byte) []byte) []byte {
	body := change(bytes.Clone(data[:len(data)-sha256.Size]))
	sum := sha256.Sum256(body)
	return append(body, sum[:]...)
}

func TestFormatVersionsAreReadOrRefusedClearly(t *testing.T) {
	l := taught(t, 50, "number")
	// As a program of minor version 0 would have it.
	l.core.names = names{}
	clear(l.core.evidence.good)
	clear(l.core.evidence.sum)
	m := l.Snapshot("v")
	data := m.Encode()
	var section writer
	section.names(&m.core.names)
	section.evidence(&m.core.evidence, m.core.seen)
	old, err := Decode(doctored(data, func(b []byte) []byte {
		b[len(magic)+1] = 0
		return b[:len(b)-len(section.b)]
	}))
	if err != nil {
		t.Fatalf("the older minor version: %v", err)
	}
	if !bytes.Equal(old.Encode(), data) {
		t.Error("an artifact of the older minor version is another model")
	}
	for want, version := range map[string][2]byte{
		"is newer than": {major, minor + 1}, "update this program": {major + 1, 0}, "fit the model again": {major - 1, minor},
	} {
		_, err := Decode(doctored(data, func(b []byte) []byte { return append(b[:len(magic)], append(version[:], b[headerSize:]...)...) }))
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), want) {
			t.Errorf("format %v: error %v does not say %q", version, err, want)
		}
	}
}

// FuzzDecode feeds the parser bodies under a valid checksum, so that it is the
// parser that has to hold, and scores with whatever it accepts.
func FuzzDecode(f *testing.F) {
	for _, kinds := range taughtKinds {
		data := taught(f, 12, kinds...).Snapshot("v").Encode()
		f.Add(data[len(magic) : len(data)-sha256.Size])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		data := append([]byte(magic), body...)
		sum := sha256.Sum256(data)
		m, err := Decode(append(data, sum[:]...))
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("error %v does not wrap ErrFormat", err)
			}
			return
		}
		var ctx Features
		var s Scratch
		out := make([]Score, 2)
		describe(&ctx, 3, []string{"number"})
		m.Score(&s, &ctx, []Arm{{ID: "a"}, {ID: "b"}}, out)
		m.Score(&s, &ctx, []Arm{{ID: "a", Baseline: true}, {ID: "b"}}, out)
	})
}
