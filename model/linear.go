package model

// linear is the sparse family: one weight per (context feature, column). Columns
// stand for arms, for features of arms, and for "the caller's baseline" and "any
// other arm than the baseline". Beside each weight stands its variance, which
// makes every step adaptive and normalised and gives the uncertainty of a score.
type linear struct {
	rows   index // context features; row 0 is the constant
	cols   index // the two built-in columns, then arms and arm features
	stride int   // columns allocated per row
	w      []float32
	vari   []float32 // 1, the prior, down towards 0
}

// Built-in rows and columns, and what keeps arms apart from features.
const (
	rowConstant  = 0
	colDeviation = 0
	colBaseline  = 1
	builtInCols  = 2

	keyConstant  = 0x5f1d36f1a2b5c3d7
	keyDeviation = 0x243f6a8885a308d3
	keyBaseline  = 0x13198a2e03707344
	armSalt      = 0xa4093822299f31d0
)

// belowPrior is the largest variance of a cell that has learned, however little: the
// artifact tells by it which cells there are.
const belowPrior = 1 - 1.0/(1<<24)

// term is one row or column with its value.
type term struct {
	at int32
	v  float32
}

func (l *linear) reset() {
	l.rows.put(keyConstant, 1)
	l.cols.put(keyDeviation, builtInCols)
	l.cols.put(keyBaseline, builtInCols)
	l.stride = 8
	l.grow()
}

// grow makes the tables cover all rows.
func (l *linear) grow() {
	if missing := l.rows.len()*l.stride - len(l.w); missing > 0 {
		l.w = append(l.w, make([]float32, missing)...)
		from := len(l.vari)
		l.vari = append(l.vari, make([]float32, missing)...)
		fill(l.vari[from:], 1)
	}
}

// widen re-lays the tables so that every row has room for all columns.
func (l *linear) widen() bool {
	stride := l.stride
	for stride < l.cols.len() {
		stride *= 2
	}
	if stride == l.stride {
		return false
	}
	l.w = relay(l.w, l.stride, stride, 0)
	l.vari = relay(l.vari, l.stride, stride, 1)
	l.stride = stride
	return true
}

// relay copies a table into one with longer rows; new cells get a value.
func relay(t []float32, from, to int, value float32) []float32 {
	n := len(t) / from
	out := make([]float32, n*to)
	for r := range n {
		copy(out[r*to:], t[r*from:(r+1)*from])
		fill(out[r*to+from:(r+1)*to], value)
	}
	return out
}

func fill(t []float32, v float32) {
	for i := range t {
		t[i] = v
	}
}

// predict returns the sum over rows x cols and its variance.
func (l *linear) predict(rows, cols []term) (mean, variance float64) {
	var m, v float32
	for _, c := range cols {
		for _, r := range rows {
			at := int(r.at)*l.stride + int(c.at)
			x := r.v * c.v
			m += x * l.w[at]
			v += x * x * l.vari[at]
		}
	}
	return float64(m), float64(v)
}

// predictEach is predict for many single columns at once, row by row, since the
// columns of a row lie side by side. A column below 0 gets the sums of another.
func (l *linear) predictEach(rows []term, cols []int32, mean, variance []float32) {
	clear(mean)
	clear(variance)
	if len(cols) == 0 {
		return
	}
	first, run := int(cols[0]), cols[0] >= 0
	for i, c := range cols {
		run = run && int(c) == first+i
	}
	mean, variance = mean[:len(cols)], variance[:len(cols)]
	for _, r := range rows {
		from, square := int(r.at)*l.stride, r.v*r.v
		w, v := l.w[from:from+l.stride], l.vari[from:from+l.stride]
		if run {
			w, v = w[first:][:len(mean)], v[first:][:len(mean)]
			for i := range mean {
				mean[i] += r.v * w[i]
				variance[i] += square * v[i]
			}
			continue
		}
		for i, c := range cols {
			c = max(c, 0)
			mean[i] += r.v * w[c]
			variance[i] += square * v[c]
		}
	}
}

// update makes a diagonal Kalman step: gain is the error in units of the total
// variance of the prediction, information what the example adds to certainty.
func (l *linear) update(rows, cols []term, gain, information float64) {
	for _, r := range rows {
		base := int(r.at) * l.stride
		for _, c := range cols {
			at := base + int(c.at)
			x := float64(r.v * c.v)
			if x == 0 {
				continue
			}
			vari := float64(l.vari[at])
			l.w[at] += float32(gain * x * vari)
			l.vari[at] = min(float32(vari/(1+vari*information*x*x)), belowPrior)
		}
	}
}

func (l *linear) clone() linear {
	return linear{
		rows: l.rows.clone(), cols: l.cols.clone(), stride: l.stride,
		w: append([]float32(nil), l.w...), vari: append([]float32(nil), l.vari...),
	}
}
