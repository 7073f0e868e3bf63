package model

import "math"

// dense is the family for a few well-known quantities: per arm a ridge
// regression with the full inverse covariance, on numbers and on categories that
// have few values, and on either all products of those (when they are few) or
// random cosines of them (when they are many), so that arms may depend on them
// in curves and combinations. It takes part in decisions without a baseline.
type dense struct {
	dims     index  // features in use, by hash
	category []bool // by dim
	arms     []denseArm
	cosine   []float64 // numCosines rows of dims+1 cells: phase and directions
	off      bool      // outgrew its memory
	plain    bool      // categories have too many values: numbers only
	rows     int       // examples seen, until the dims are settled
}

// denseArm holds one arm's statistics; d is 0 until its first example.
type denseArm struct {
	d     int
	inv   []float64 // d x d, symmetric
	theta []float64
}

const (
	maxDims       = 128     // features in use
	maxCategories = 32      // of which categories
	settleRows    = 256     // examples after which no more features are taken in
	maxWidth      = 192     // widest expansion by products
	numCosines    = 128     // else this many cosines are added
	maxDenseSize  = 1 << 22 // cells of all inverses together: 32 MB
	productScale  = 0.7
	cosineScale   = 0.25
	cosineWidth   = 1.5
)

// denseWidth returns the length of the expansion of n features.
func denseWidth(n int) int {
	if w := 1 + n + n*(n+1)/2; w <= maxWidth {
		return w
	}
	return 1 + n + numCosines
}

// admit takes in the features of an early example.
func (d *dense) admit(ctx *Features) {
	if d.rows >= settleRows {
		return
	}
	d.rows++
	before, categories := d.dims.len(), 0
	for _, c := range d.category {
		if c {
			categories++
		}
	}
	for i := range ctx.Len() {
		e := &ctx.entries[i]
		if !e.dense() || d.plain && e.kind == kindCategory || d.dims.find(e.hash) >= 0 {
			continue
		}
		if e.kind == kindCategory {
			if categories++; categories > maxCategories {
				d.dropCategories()
				d.admit(ctx)
				return
			}
		}
		if d.dims.put(e.hash, maxDims) >= 0 {
			d.category = append(d.category, e.kind == kindCategory)
		}
	}
	if d.dims.len() > before {
		d.layout(before)
	}
}

// dropCategories starts again with numbers alone.
func (d *dense) dropCategories() {
	var numbers index
	for i, key := range d.dims.keys {
		if !d.category[i] {
			numbers.put(key, maxDims)
		}
	}
	*d = dense{dims: numbers, category: make([]bool, numbers.len()), plain: true, rows: d.rows}
	d.layout(0)
}

// layout prepares for the current number of dims after there were before. New
// products come last, so that statistics carry over; those on other cosines are
// dropped.
func (d *dense) layout(before int) {
	n := d.dims.len()
	if 1+n+n*(n+1)/2 <= maxWidth {
		return
	}
	if n > before {
		clear(d.arms)
	}
	d.cosine = make([]float64, 0, numCosines*(n+1))
	for k := range numCosines {
		d.cosine = append(d.cosine, 3*gauss(uint64(k), 0))
		for i := range n {
			d.cosine = append(d.cosine, cosineWidth*gauss(uint64(k), uint64(i+1))/math.Sqrt(float64(n+1)))
		}
	}
}

// gauss returns a fixed standard normal number for (k, i).
func gauss(k, i uint64) float64 {
	h := mix(mix(k+1, i+1), keyConstant)
	u := (float64(h>>11) + 0.5) / (1 << 53)
	v := float64(mix(h, keyBaseline)>>11) / (1 << 53)
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*v)
}

// expand appends the expansion of the values raw to x.
func (d *dense) expand(x, raw []float64) []float64 {
	x = append(x, 1)
	if d.cosine == nil {
		for j, v := range raw {
			x = append(x, zeroed(v))
			for i := range j + 1 {
				x = append(x, productScale*d.centred(i, raw[i])*d.centred(j, v))
			}
		}
		return x
	}
	for _, v := range raw {
		x = append(x, zeroed(v))
	}
	for k := range numCosines {
		row := d.cosine[k*(len(raw)+1):][:len(raw)+1]
		z := row[0]
		for i, v := range raw {
			z += row[i+1] * d.centred(i, v)
		}
		x = append(x, cosineScale*math.Cos(z))
	}
	return x
}

func zeroed(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}

// centred moves a number from 0..1 to -1..1, a missing one to the middle, and
// leaves a category as it is.
func (d *dense) centred(dim int, v float64) float64 {
	switch {
	case d.category[dim]:
		return v
	case math.IsNaN(v):
		return 0
	default:
		return 2*v - 1
	}
}

// predict returns the arm's expected reward and its leverage: the variance of
// the prediction in units of the noise. Without data these are 0 and |x|^2.
func (a *denseArm) predict(x []float64) (mean, leverage float64) {
	known, fresh := x[:min(a.d, len(x))], x[min(a.d, len(x)):]
	// The inverse is symmetric: half of it is enough, and reading it is what the
	// time goes into.
	for i, v := range known {
		if v != 0 {
			row := a.inv[i*a.d : (i+1)*a.d]
			leverage += v * (row[i]*v + 2*dot(row[i+1:len(known)], known[i+1:]))
		}
	}
	return dot(a.theta, known), max(leverage, 0) + dot(fresh, fresh)
}

// update adds one example by a rank-one change of the inverse. work has len(x).
func (a *denseArm) update(x, work []float64, reward, weight float64) {
	a.widen(len(x))
	leverage := 0.0
	for i := range work {
		work[i] = dot(a.inv[i*a.d:(i+1)*a.d], x)
		leverage += work[i] * x[i]
	}
	err := reward - dot(a.theta, x)
	gain := weight / (1 + weight*leverage)
	for i, v := range work {
		row := a.inv[i*a.d : (i+1)*a.d]
		f := gain * v
		for j, u := range work {
			row[j] -= f * u
		}
		a.theta[i] += f * err
	}
}

// widen makes room for d values; the new ones start from the prior.
func (a *denseArm) widen(d int) {
	if a.d >= d {
		return
	}
	inv, theta := make([]float64, d*d), make([]float64, d)
	for i := range d {
		inv[i*d+i] = 1
	}
	for i := range a.d {
		copy(inv[i*d:], a.inv[i*a.d:(i+1)*a.d])
	}
	copy(theta, a.theta)
	*a = denseArm{d: d, inv: inv, theta: theta}
}

// fits reports whether one more arm of width w stays within the memory bound.
func (d *dense) fits(w int) bool {
	used := 0
	for i := range d.arms {
		used += d.arms[i].d * d.arms[i].d
	}
	return used+w*w <= maxDenseSize
}

func (d *dense) clone() dense {
	c := dense{
		dims: d.dims.clone(), category: append([]bool(nil), d.category...), cosine: d.cosine, off: d.off,
		arms: make([]denseArm, len(d.arms)),
	}
	for i := range d.arms {
		a := &d.arms[i]
		c.arms[i] = denseArm{d: a.d, inv: rounded(a.inv), theta: rounded(a.theta)}
	}
	return c
}

// rounded copies at the precision of an artifact, so that a model scores the
// same before and after it was stored.
func rounded(t []float64) []float64 {
	out := make([]float64, len(t))
	for i, v := range t {
		out[i] = float64(float32(v))
	}
	return out
}

func dot(a, b []float64) float64 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float64
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}
