package model

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrFormat marks bytes that are not a model of a version this program reads.
var ErrFormat = errors.New("not a usable model artifact")

// The artifact: magic, format version, payload, SHA-256 of all before. Numbers are
// little-endian; counts are varints. Only cells that were learned are there.
//
// The format version is major.minor. A minor version appends a section: a program
// reads every artifact of its major version up to its own minor one, and starts
// the sections that are missing as a new learner would. What is newer it refuses,
// since scores without a section that was learned would be other scores; the
// model that it has stays live. Major version 1 had no minor one.
const (
	magic       = "USHERMDL"
	major       = 2
	minor       = 2
	headerSize  = len(magic) + 2
	maxArtifact = 1 << 30
	maxVersion  = 256
)

// Since when sections are there.
const (
	minorNames    = 1
	minorEvidence = 2
)

// Encode returns the artifact. The same model gives the same bytes.
func (m *Model) Encode() []byte {
	w := writer{b: append(make([]byte, 0, 1<<16), magic...)}
	w.b = append(w.b, major, minor)
	w.text(m.version[:min(len(m.version), maxVersion)])
	c := &m.core
	w.f64(c.lo, c.hi)
	w.u64(c.schema)
	w.keys(c.lin.rows.keys)
	w.keys(c.lin.cols.keys)
	for _, n := range c.seen {
		w.count(int(n))
	}
	w.linear(&c.lin)
	w.scales(&c.scale)
	w.success(&c.good, &c.lin)
	w.dense(&c.dense)
	w.quality(&c.quality)
	w.names(&c.names)
	w.evidence(&c.evidence, c.seen)
	sum := sha256.Sum256(w.b)
	return append(w.b, sum[:]...)
}

// Decode reads an artifact. Damaged, oversized or foreign bytes give an error
// that wraps ErrFormat; they never crash, and memory is bounded by the limits of
// a Config whatever the bytes say.
func Decode(data []byte) (*Model, error) {
	if len(data) > maxArtifact {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrFormat, len(data), maxArtifact)
	}
	if len(data) < headerSize+sha256.Size || !bytes.HasPrefix(data, []byte(magic)) {
		return nil, fmt.Errorf("%w: no %q at the start", ErrFormat, magic)
	}
	body := data[:len(data)-sha256.Size]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], data[len(body):]) {
		return nil, fmt.Errorf("%w: checksum does not match", ErrFormat)
	}
	if err := readable(body[len(magic)], body[len(magic)+1]); err != nil {
		return nil, err
	}
	return decodeBody(body[headerSize:], body[len(magic)+1])
}

// readable refuses the formats that this program does not know.
func readable(gotMajor, gotMinor byte) error {
	switch {
	case gotMajor < major:
		return fmt.Errorf("%w: format %d is older than %d.0, the oldest that is read; fit the model again", ErrFormat, gotMajor, major)
	case gotMajor > major || gotMinor > minor:
		return fmt.Errorf("%w: format %d.%d is newer than %d.%d, the newest that is read; update this program",
			ErrFormat, gotMajor, gotMinor, major, minor)
	}
	return nil
}

func decodeBody(body []byte, gotMinor byte) (*Model, error) {
	r := reader{b: body}
	m := &Model{version: r.text()}
	c := &m.core
	c.lo, c.hi = r.f64(), r.f64()
	c.schema = r.u64()
	c.lin.rows = r.keys(limitRows)
	c.lin.cols = r.keys(limitCols + builtInCols)
	r.check(c.lo < c.hi && !math.IsInf(c.lo, 0) && !math.IsInf(c.hi, 0), "reward range")
	r.check(c.lin.rows.len() > 0 && c.lin.rows.keys[0] == keyConstant, "rows")
	r.check(c.lin.cols.len() >= builtInCols && c.lin.cols.keys[0] == keyDeviation && c.lin.cols.keys[1] == keyBaseline, "columns")
	if r.err == nil {
		r.sections(c, gotMinor)
	}
	r.check(len(r.b) == 0, "length")
	if r.err != nil {
		return nil, r.err
	}
	return m, nil
}

func (r *reader) sections(c *core, gotMinor byte) {
	c.seen = make([]int64, c.lin.cols.len())
	for i := range c.seen {
		c.seen[i] = int64(r.count(math.MaxInt32))
	}
	r.linear(&c.lin)
	r.scales(&c.scale, c.lin.rows.len())
	r.success(&c.good, &c.lin)
	r.dense(&c.dense, c.lin.cols.len())
	r.quality(&c.quality)
	if gotMinor >= minorNames {
		r.names(&c.names, c.lin.cols.len())
	}
	c.evidence.grow(c.lin.cols.len())
	if gotMinor >= minorEvidence {
		r.evidence(&c.evidence, c.seen)
	}
}

// writer appends fields.
type writer struct{ b []byte }

func (w *writer) u64(v uint64) { w.b = binary.LittleEndian.AppendUint64(w.b, v) }
func (w *writer) count(n int)  { w.b = binary.AppendUvarint(w.b, uint64(n)) }
func (w *writer) flag(on bool) {
	if on {
		w.count(1)
	} else {
		w.count(0)
	}
}

func (w *writer) text(s string) {
	w.count(len(s))
	w.b = append(w.b, s...)
}

func (w *writer) f64(vs ...float64) {
	for _, v := range vs {
		w.u64(math.Float64bits(v))
	}
}

func (w *writer) f32(vs ...float32) {
	for _, v := range vs {
		w.b = binary.LittleEndian.AppendUint32(w.b, math.Float32bits(v))
	}
}

func (w *writer) keys(keys []uint64) {
	w.count(len(keys))
	for _, k := range keys {
		w.u64(k)
	}
}

func (w *writer) linear(l *linear) {
	for r := range l.rows.len() {
		row := l.vari[r*l.stride:][:l.cols.len()]
		n := 0
		for _, v := range row {
			if v < 1 {
				n++
			}
		}
		w.count(n)
		for c, v := range row {
			if v < 1 {
				w.count(c)
				w.f32(l.w[r*l.stride+c], v)
			}
		}
	}
}

func (w *writer) scales(s *scales) {
	for i := range s.exp {
		w.count(int(s.exp[i]) - minExponent)
		w.f32(s.count[i])
	}
}

func (w *writer) success(s *success, l *linear) {
	for r := range l.rows.len() {
		w.f32(s.precision(r))
		if s.precision(r) > 0 {
			w.f32(s.w[r*l.stride:][:l.cols.len()]...)
		}
	}
	for st := range s.pair {
		w.f64(s.pair[st].w[:]...)
		w.f64(s.pair[st].prec[:]...)
	}
}

func (w *writer) dense(d *dense) {
	w.keys(d.dims.keys)
	for _, category := range d.category {
		w.flag(category)
	}
	w.flag(d.off)
	w.count(len(d.arms))
	for i := range d.arms {
		a := &d.arms[i]
		w.count(a.d)
		for r := range a.d {
			w.f32(float32(a.theta[r]))
			for c := r; c < a.d; c++ {
				w.f32(float32(a.inv[r*a.d+c]))
			}
		}
	}
}

func (w *writer) names(n *names) {
	w.keys(n.stems.keys)
	w.f32(n.seen...)
	w.count(len(n.words))
	for _, stems := range n.words {
		w.count(len(stems))
		for _, k := range stems {
			w.count(int(k))
		}
	}
	w.f64(n.count)
	w.f64(n.w[:]...)
	w.f64(n.vari[:]...)
}

func (w *writer) quality(q *quality) { w.f64(q.sparse, q.dense, q.weight, q.reward, q.count) }
