package evaluate

import "math"

// moments are the running mean and spread of one number per row.
type moments struct {
	n        int64
	mean, m2 float64
}

func (m *moments) add(x float64) {
	m.n++
	d := x - m.mean
	m.mean += d / float64(m.n)
	m.m2 += d * (x - m.mean)
}

func (m *moments) merge(o moments) {
	if o.n == 0 {
		return
	}
	n := float64(m.n + o.n)
	d := o.mean - m.mean
	m.m2 += o.m2 + d*d*float64(m.n)*float64(o.n)/n
	m.mean += d * float64(o.n) / n
	m.n += o.n
}

// stdErr is the standard error of the mean; infinite with fewer than two rows,
// which say nothing of the spread.
func (m *moments) stdErr() float64 {
	if m.n < 2 {
		return math.Inf(1)
	}
	return math.Sqrt(m.m2 / float64(m.n-1) / float64(m.n))
}

// joint are the running means and centred products of a weight and a number per
// row.
type joint struct {
	n          int64
	w, z       float64 // means
	ww, wz, zz float64 // sums of products around the means
}

func (j *joint) add(w, z float64) {
	j.n++
	n := float64(j.n)
	dw, dz := w-j.w, z-j.z
	j.w += dw / n
	j.z += dz / n
	j.ww += dw * (w - j.w)
	j.wz += dw * (z - j.z)
	j.zz += dz * (z - j.z)
}

func (j *joint) merge(o joint) {
	if o.n == 0 {
		return
	}
	n := float64(j.n + o.n)
	share := float64(j.n) * float64(o.n) / n
	dw, dz := o.w-j.w, o.z-j.z
	j.ww += o.ww + dw*dw*share
	j.wz += o.wz + dw*dz*share
	j.zz += o.zz + dz*dz*share
	j.w += dw * float64(o.n) / n
	j.z += dz * float64(o.n) / n
	j.n += o.n
}

// shifted is the mean of z - slope (w - 1): the same value, for a weight is 1 in
// expectation.
func (j *joint) shifted(slope float64) float64 { return j.z - slope*(j.w-1) }

// stdErr is the standard error of shifted.
func (j *joint) stdErr(slope float64) float64 {
	if j.n < 2 {
		return math.Inf(1)
	}
	n := float64(j.n)
	return math.Sqrt(max(0, j.zz-2*slope*j.wz+slope*slope*j.ww) / (n - 1) / n)
}

// reach is the range of what was seen.
type reach struct {
	lo, hi float64
	any    bool
}

func (r *reach) add(x float64) {
	if !r.any {
		*r = reach{x, x, true}
		return
	}
	r.lo, r.hi = min(r.lo, x), max(r.hi, x)
}

func (r *reach) merge(o reach) {
	if o.any {
		r.add(o.lo)
		r.add(o.hi)
	}
}

// weights are what is known of the weights and rewards of a log.
type weights struct {
	n                     int64
	w, ww, wr             float64 // sums of w, w^2 and w r
	largest               float64
	minLogged, maxTarget  float64 // their ratio bounds every weight
	r                     moments
	rewards               reach
	informative           int64 // rows whose weight is not 0
	informativeAndNotZero int64 // of those, rows whose reward is not 0
	informativeAndFull    int64 // and rows whose reward is the highest there can be
}

func (s *weights) add(w, r float64) {
	s.n++
	s.w += w
	s.ww += w * w
	s.wr += w * r
	s.largest = max(s.largest, w)
	s.r.add(r)
	s.rewards.add(r)
	if w > 0 {
		s.informative++
		if r != 0 {
			s.informativeAndNotZero++
		}
	}
}

// reach widens what is known of the range of weights.
func (s *weights) reach(logged, target float64) {
	if s.minLogged == 0 || logged < s.minLogged {
		s.minLogged = logged
	}
	s.maxTarget = max(s.maxTarget, target)
}

// bound is the largest weight that a row could have had, seen or not: the
// target's surest action met by the log's rarest draw.
func (s *weights) bound() float64 {
	if s.minLogged == 0 {
		return 0
	}
	return max(s.largest, s.maxTarget/s.minLogged)
}

func (s *weights) merge(o weights) {
	if o.n == 0 {
		return
	}
	if s.n == 0 {
		*s = o
		return
	}
	s.n += o.n
	s.w += o.w
	s.ww += o.ww
	s.wr += o.wr
	s.largest = max(s.largest, o.largest)
	s.reach(o.minLogged, o.maxTarget)
	s.r.merge(o.r)
	s.rewards.merge(o.rewards)
	s.informative += o.informative
	s.informativeAndNotZero += o.informativeAndNotZero
	s.informativeAndFull += o.informativeAndFull
}

func (s *weights) mean() float64 {
	if s.n == 0 {
		return 0
	}
	return s.w / float64(s.n)
}

func (s *weights) effective() float64 {
	if s.ww == 0 {
		return 0
	}
	return s.w * s.w / s.ww
}

func (s *weights) selfNormalised() float64 {
	if s.w == 0 {
		return 0
	}
	return s.wr / s.w
}
