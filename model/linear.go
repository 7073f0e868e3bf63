package model

import "math"

// linear is the sparse family: one weight per (context feature, column), where
// columns stand for arms, arm features, "any arm" and "the caller's baseline".
// Next to each weight stands its precision, which makes every update adaptive
// and normalised and gives the uncertainty of a prediction.
type linear struct {
	rows   index // context features; row 0 is the constant
	cols   index // arms and arm features; columns 0 and 1 are built in
	stride int   // columns allocated per row
	w      []float32
	prec   []float32
}

// Keys of what every model has.
const (
	keyBias     = 0x5f1d36f1a2b5c3d7
	keyAny      = 0x243f6a8885a308d3
	keyBaseline = 0x13198a2e03707344
	armSalt     = 0xa4093822299f31d0
)

func (l *linear) reset() {
	l.rows.put(keyBias, 1)
	l.cols.put(keyAny, 2)
	l.cols.put(keyBaseline, 2)
	l.stride = 8
	l.grow()
}

// grow makes the tables cover all rows.
func (l *linear) grow() {
	for want := l.rows.len() * l.stride; len(l.w) < want; {
		l.w = append(l.w, 0)
		l.prec = append(l.prec, 0)
	}
}

// widen re-lays the tables so that every row has room for n columns.
func (l *linear) widen(n int) {
	stride := l.stride
	for stride < n {
		stride *= 2
	}
	if stride == l.stride {
		return
	}
	w := make([]float32, l.rows.len()*stride)
	prec := make([]float32, l.rows.len()*stride)
	for r := range l.rows.len() {
		copy(w[r*stride:], l.w[r*l.stride:(r+1)*l.stride])
		copy(prec[r*stride:], l.prec[r*l.stride:(r+1)*l.stride])
	}
	l.stride, l.w, l.prec = stride, w, prec
}

// term is one row or column with its value.
type term struct {
	at int32
	v  float32
}

// predict returns the sum over rows x cols and its variance, for a prior
// precision on every weight.
func (l *linear) predict(rows, cols []term, prior float64) (mean, variance float64) {
	for _, r := range rows {
		base := int(r.at) * l.stride
		for _, c := range cols {
			at := base + int(c.at)
			x := float64(r.v) * float64(c.v)
			mean += x * float64(l.w[at])
			variance += x * x / (prior + float64(l.prec[at]))
		}
	}
	return mean, variance
}

// update moves the weights towards the error by a diagonal Kalman step.
func (l *linear) update(rows, cols []term, err, noise, prior float64) {
	_, variance := l.predict(rows, cols, prior)
	gain := err / (noise + variance)
	for _, r := range rows {
		base := int(r.at) * l.stride
		for _, c := range cols {
			at := base + int(c.at)
			x := float64(r.v) * float64(c.v)
			l.w[at] += float32(gain * x / (prior + float64(l.prec[at])))
			l.prec[at] += float32(x * x / noise)
		}
	}
}

func (l *linear) clone() linear {
	return linear{
		rows: l.rows.clone(), cols: l.cols.clone(), stride: l.stride,
		w: append([]float32(nil), l.w...), prec: append([]float32(nil), l.prec...),
	}
}

// finite reports whether all weights can be used.
func (l *linear) finite() bool {
	for i, w := range l.w {
		if f := float64(w); math.IsNaN(f) || math.IsInf(f, 0) {
			return false
		}
		if p := float64(l.prec[i]); !(p >= 0) || math.IsInf(p, 0) {
			return false
		}
	}
	return true
}
