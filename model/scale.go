package model

import "math"

// scales brings numbers of any unit to about -1..1: each number is divided by
// the power of two that covers the largest magnitude seen. The power settles
// early, since what was learned under one scale is not re-learned under another;
// from then on larger numbers are cut off.
type scales struct {
	exp   []int16   // by row of the linear table; 0 for what is not a number
	top   []float32 // largest magnitude seen while young
	count []float32 // how often each row was seen, up to maxCount
}

const (
	settleCount = 64
	maxCount    = 1 << 20
)

func (s *scales) grow(rows int) {
	for len(s.exp) < rows {
		s.exp = append(s.exp, 0)
		s.top = append(s.top, 0)
		s.count = append(s.count, 0)
	}
}

// observe counts a value of row at and adapts the scale while it is young.
func (s *scales) observe(at int32, e *entry) {
	n := s.count[at]
	if n < maxCount {
		s.count[at]++
	}
	if e.kind != kindNumber || n >= settleCount {
		return
	}
	s.top[at] = max(s.top[at], float32(math.Abs(float64(e.value))))
	s.exp[at] = exponent(s.top[at])
	if n+1 < settleCount {
		s.exp[at] = max(s.exp[at], 0) // do not enlarge before the range is known
	}
}

// exponent returns the smallest power of two that covers v, bounded so that its
// reciprocal is a normal float32.
func exponent(v float32) int16 {
	if v == 0 {
		return minExponent
	}
	_, e := math.Frexp(math.Abs(float64(v)))
	if math.Abs(float64(v)) == math.Ldexp(0.5, e) {
		e-- // a power of two covers itself
	}
	return int16(min(max(e, minExponent), maxExponent))
}

const (
	minExponent = -120
	maxExponent = 120
)

// apply returns the scaled value of a number.
func (s *scales) apply(at int32, v float32) float32 {
	scaled := math.Ldexp(float64(v), -int(s.exp[at]))
	return float32(min(max(scaled, -1), 1))
}

func (s *scales) clone() scales {
	return scales{
		exp: append([]int16(nil), s.exp...), top: append([]float32(nil), s.top...),
		count: append([]float32(nil), s.count...),
	}
}
