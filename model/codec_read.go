package model

import (
	"encoding/binary"
	"fmt"
	"math"
)

// reader takes fields off the front and remembers the first fault. After a fault
// it returns zeros, so that callers check once.
type reader struct {
	b   []byte
	err error
}

func (r *reader) check(ok bool, what string) {
	if !ok && r.err == nil {
		r.err = fmt.Errorf("%w: bad %s", ErrFormat, what)
		r.b = nil
	}
}

func (r *reader) take(n int) []byte {
	r.check(n <= len(r.b), "length")
	if r.err != nil {
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *reader) f64() float64 {
	v := math.Float64frombits(r.u64())
	r.check(!math.IsNaN(v) && !math.IsInf(v, 0), "number")
	return v
}

func (r *reader) f32() float32 {
	b := r.take(4)
	if b == nil {
		return 0
	}
	v := math.Float32frombits(binary.LittleEndian.Uint32(b))
	r.check(!math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0), "number")
	return v
}

func (r *reader) count(limit int) int {
	n, used := binary.Uvarint(r.b)
	r.check(used > 0 && n <= uint64(limit), "count")
	if r.err != nil {
		return 0
	}
	r.b = r.b[used:]
	return int(n)
}

func (r *reader) text() string { return string(r.take(r.count(maxVersion))) }

func (r *reader) keys(limit int) index {
	var x index
	n := r.count(limit)
	r.check(n*8 <= len(r.b), "length")
	for i := 0; i < n && r.err == nil; i++ {
		r.check(int(x.put(r.u64(), limit)) == i, "keys")
	}
	return x
}

func (r *reader) linear(l *linear) {
	l.stride = 8
	for l.stride < l.cols.len() {
		l.stride *= 2
	}
	r.check(l.rows.len()*l.stride <= limitCells, "size")
	if r.err != nil {
		return
	}
	l.grow()
	for row := 0; row < l.rows.len() && r.err == nil; row++ {
		for n := r.count(l.cols.len()); n > 0 && r.err == nil; n-- {
			at := row*l.stride + r.count(l.cols.len()-1)
			l.w[at], l.vari[at] = r.f32(), r.f32()
			r.check(l.vari[at] >= 0 && l.vari[at] < 1, "variance")
		}
	}
}

func (r *reader) scales(s *scales, rows int) {
	s.grow(rows)
	for i := 0; i < rows && r.err == nil; i++ {
		s.exp[i] = int16(r.count(maxExponent-minExponent) + minExponent)
		s.count[i] = r.f32()
	}
}

func (r *reader) success(s *success, l *linear) {
	for row := 0; row < l.rows.len() && r.err == nil; row++ {
		p := r.f32()
		r.check(p >= 0, "precision")
		if p <= 0 || r.err != nil {
			continue
		}
		s.grow(l.rows.len(), l.stride)
		s.prec[row] = p
		for c := range l.cols.len() {
			s.w[row*l.stride+c] = r.f32()
		}
	}
	for st := range s.pair {
		for i := range pairSize {
			s.pair[st].w[i] = r.f64()
		}
		for i := range pairSize {
			s.pair[st].prec[i] = r.f64()
			r.check(s.pair[st].prec[i] >= 0, "precision")
		}
	}
}

func (r *reader) dense(d *dense, cols int) {
	d.dims = r.keys(maxDims)
	for range d.dims.len() {
		d.category = append(d.category, r.count(1) == 1)
	}
	d.off = r.count(1) == 1
	d.layout(0)
	width, n := denseWidth(d.dims.len()), r.count(cols)
	for i := 0; i < n && r.err == nil; i++ {
		size := r.count(width)
		r.check(size <= width && d.fits(size), "size")
		r.check(size*(size+3)/2*4 <= len(r.b), "length")
		if r.err != nil {
			return
		}
		a := denseArm{d: size, inv: make([]float64, size*size), theta: make([]float64, size)}
		for row := range size {
			a.theta[row] = float64(r.f32())
			for c := row; c < size; c++ {
				v := float64(r.f32())
				a.inv[row*size+c], a.inv[c*size+row] = v, v
			}
		}
		d.arms = append(d.arms, a)
	}
}

func (r *reader) names(n *names, cols int) {
	n.stems = r.keys(limitStems)
	n.growStems()
	for i := range n.seen {
		n.seen[i] = r.f32()
		r.check(n.seen[i] >= 0, "names")
	}
	for at := range r.count(cols) {
		size := r.count(min(maxNameStems, n.stems.len()))
		if r.err != nil {
			return
		}
		var stems []int32 // nil for a column that is no arm's
		for range size {
			stems = addOnce(stems, int32(r.count(max(n.stems.len()-1, 0))))
		}
		r.check(len(stems) == size, "names")
		n.name(int32(at), stems)
	}
	n.count = r.f64()
	r.check(n.count >= 0, "names")
	for i := range n.w {
		n.w[i] = r.f64()
	}
	for i := range n.vari {
		n.vari[i] = r.f64()
		r.check(n.vari[i] >= 0 && n.vari[i] <= 1, "names")
	}
	for _, arms := range n.arms {
		r.check(len(arms) > 0, "names") // a stem that names no arm would divide by zero
	}
}

func (r *reader) quality(q *quality) {
	for _, f := range []*float64{&q.sparse, &q.dense, &q.weight, &q.reward, &q.count} {
		*f = r.f64()
		r.check(*f >= 0, "quality")
	}
}
