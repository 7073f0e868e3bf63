package model

// linear is the sparse family: one weight per (context feature, column). Columns
// stand for arms, for features of arms, and for "the caller's baseline" and "any
// other arm than the baseline". Beside each weight stands its precision, which
// makes every step adaptive and normalised and gives the uncertainty of a score.
type linear struct {
	rows   index // context features; row 0 is the constant
	cols   index // the two built-in columns, then arms and arm features
	stride int   // columns allocated per row
	w      []float32
	prec   []float32
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
		l.prec = append(l.prec, make([]float32, missing)...)
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
	l.w = relay(l.w, l.stride, stride)
	l.prec = relay(l.prec, l.stride, stride)
	l.stride = stride
	return true
}

// relay copies a table into one with longer rows.
func relay(t []float32, from, to int) []float32 {
	n := len(t) / from
	out := make([]float32, n*to)
	for r := range n {
		copy(out[r*to:], t[r*from:(r+1)*from])
	}
	return out
}

// predict returns the sum over rows x cols and its variance, each weight having
// prior variance 1.
func (l *linear) predict(rows, cols []term) (mean, variance float64) {
	for _, r := range rows {
		base := int(r.at) * l.stride
		for _, c := range cols {
			at := base + int(c.at)
			x := r.v * c.v
			mean += float64(x * l.w[at])
			variance += float64(x * x / (1 + l.prec[at]))
		}
	}
	return mean, variance
}

// update makes a diagonal Kalman step: gain is the error in units of the total
// variance of the prediction, information what the example adds to precision.
func (l *linear) update(rows, cols []term, gain, information float64) {
	for _, r := range rows {
		base := int(r.at) * l.stride
		for _, c := range cols {
			at := base + int(c.at)
			x := float64(r.v * c.v)
			l.w[at] += float32(gain * x / (1 + float64(l.prec[at])))
			l.prec[at] += float32(information * x * x)
		}
	}
}

func (l *linear) clone() linear {
	return linear{
		rows: l.rows.clone(), cols: l.cols.clone(), stride: l.stride,
		w: append([]float32(nil), l.w...), prec: append([]float32(nil), l.prec...),
	}
}
