package model

// success learns, from decisions that had a baseline, which arm succeeded in
// contexts like this: a one-against-all classifier fitted on the rewarded
// examples alone. People's good choices are evidence of which arms belong to a
// context, which the rewards of the chosen arms alone do not show: an arm that
// is always right where people use it would look right everywhere. How much that
// evidence is worth for an arm that was not the baseline is itself learned, as
// the weights of the pair features below.
type success struct {
	w    []float32 // laid out as the linear table
	prec []float32 // by row: all arms share each example
	pair [pairStates]pairWeights
}

// Pair features describe an arm in its context; they have weights for any arm
// and further ones for the baseline and for the others.
const (
	pairAny = iota
	pairBaseline
	pairDeviation
	pairStates

	pairSize     = 3
	pairVariance = 2.0
)

type pairWeights struct{ w, prec [pairSize]float64 }

func (s *success) grow(rows, stride int) {
	if missing := rows*stride - len(s.w); missing > 0 {
		s.w = append(s.w, make([]float32, missing)...)
	}
	for len(s.prec) < rows {
		s.prec = append(s.prec, 0)
	}
}

// precision returns that of a row, 0 while nothing succeeded.
func (s *success) precision(row int) float32 {
	if row < len(s.prec) {
		return s.prec[row]
	}
	return 0
}

// score returns the share of successes that the arm in column at is expected to
// have among all successes in this context, 0 to 1.
func (s *success) score(rows []term, stride int, at int32) float64 {
	if at < 0 || len(s.w) == 0 {
		return 0
	}
	var sum float32
	for _, r := range rows {
		sum += r.v * s.w[int(r.at)*stride+int(at)]
	}
	return float64(min(max(sum, 0), 1))
}

// learn moves every arm towards 1 for the one that succeeded and 0 for the rest.
// sums is working memory of one cell per column.
func (s *success) learn(rows []term, sums []float64, stride int, chosen int32, weight float64) {
	clear(sums)
	variance := 0.0
	for _, r := range rows {
		x := float64(r.v)
		variance += x * x / (1 + float64(s.prec[r.at]))
		for c, w := range s.w[int(r.at)*stride:][:len(sums)] {
			sums[c] += x * float64(w)
		}
	}
	for _, r := range rows {
		step := weight * float64(r.v) / ((1 + weight*variance) * (1 + float64(s.prec[r.at])))
		for c := range sums {
			y := 0.0
			if int32(c) == chosen {
				y = 1
			}
			s.w[int(r.at)*stride+c] += float32(step * (y - sums[c]))
		}
		s.prec[r.at] += float32(weight) * r.v * r.v
	}
}

// predict returns what the pair features add to a score, and the variance of it.
func (s *success) predict(x *[pairSize]float64, state int) (mean, variance float64) {
	for _, st := range [2]int{pairAny, state} {
		p := &s.pair[st]
		for i, v := range x {
			mean += v * p.w[i]
			variance += v * v / (1/pairVariance + p.prec[i])
		}
	}
	return mean, variance
}

func (s *success) update(x *[pairSize]float64, state int, gain, information float64) {
	for _, st := range [2]int{pairAny, state} {
		p := &s.pair[st]
		for i, v := range x {
			p.w[i] += gain * v / (1/pairVariance + p.prec[i])
			p.prec[i] += information * v * v
		}
	}
}

func (s *success) clone() success {
	return success{
		w: append([]float32(nil), s.w...), prec: append([]float32(nil), s.prec...), pair: s.pair,
	}
}
