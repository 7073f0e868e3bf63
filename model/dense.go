package model

import "math"

// dense is the family for numbers: per arm a ridge regression with the full
// inverse covariance, on the numbers and either all their products (when they
// are few) or random cosines of them (when they are many), so that arms may
// depend on the numbers in curves. It takes part in decisions without a baseline.
type dense struct {
	dims   index // number features, by hash
	arms   []denseArm
	cosine []float64 // numCosines rows of dims+1 cells: phase and directions
	off    bool      // outgrew its memory
}

// denseArm holds one arm's statistics; d is 0 until its first example.
type denseArm struct {
	d     int
	inv   []float64 // d x d, symmetric
	theta []float64
}

const (
	maxDims      = 128     // numbers in use
	maxWidth     = 192     // widest expansion by products
	numCosines   = 128     // else this many cosines are added
	maxDenseSize = 1 << 22 // cells of all inverses together: 32 MB
	productScale = 0.7
	cosineScale  = 0.25
	cosineWidth  = 1.5
)

// width returns the length of the expansion of n numbers.
func denseWidth(n int) int {
	if w := 1 + n + n*(n+1)/2; w <= maxWidth {
		return w
	}
	return 1 + n + numCosines
}

// layout prepares for the current number of dims; earlier statistics belong to
// another layout and are dropped.
func (d *dense) layout() {
	n := d.dims.len()
	clear(d.arms)
	d.cosine = nil
	if 1+n+n*(n+1)/2 <= maxWidth {
		return
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

// expand appends the expansion of the scaled numbers raw (NaN where missing) to x.
func (d *dense) expand(x, raw []float64) []float64 {
	x = append(x, 1)
	for _, v := range raw {
		if math.IsNaN(v) {
			v = 0
		}
		x = append(x, v)
	}
	if d.cosine == nil {
		for i := range raw {
			for j := i; j < len(raw); j++ {
				x = append(x, productScale*centred(raw[i])*centred(raw[j]))
			}
		}
		return x
	}
	for k := range numCosines {
		row := d.cosine[k*(len(raw)+1):][:len(raw)+1]
		z := row[0]
		for i, v := range raw {
			z += row[i+1] * centred(v)
		}
		x = append(x, cosineScale*math.Cos(z))
	}
	return x
}

// centred moves 0..1 to -1..1; a missing number sits in the middle.
func centred(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return 2*v - 1
}

// predict returns the arm's expected reward and its leverage: the variance of
// the prediction in units of the noise. Without data these are 0 and |x|^2.
func (a *denseArm) predict(x []float64) (mean, leverage float64) {
	if a.d != len(x) {
		return 0, dot(x, x)
	}
	for i, v := range x {
		if v != 0 {
			leverage += v * dot(a.inv[i*a.d:(i+1)*a.d], x)
		}
	}
	return dot(a.theta, x), max(leverage, 0)
}

// update adds one example by a rank-one change of the inverse. work has len(x).
func (a *denseArm) update(x, work []float64, reward, weight float64) {
	if a.d != len(x) {
		a.d = len(x)
		a.inv = make([]float64, a.d*a.d)
		a.theta = make([]float64, a.d)
		for i := range a.d {
			a.inv[i*a.d+i] = 1
		}
	}
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

// fits reports whether one more arm of width w stays within the memory bound.
func (d *dense) fits(w int) bool {
	used := 0
	for i := range d.arms {
		used += d.arms[i].d * d.arms[i].d
	}
	return used+w*w <= maxDenseSize
}

func (d *dense) clone() dense {
	c := dense{dims: d.dims.clone(), cosine: d.cosine, off: d.off, arms: make([]denseArm, len(d.arms))}
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
