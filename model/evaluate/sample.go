package evaluate

// Sample is the running mean and spread of one number per row, in that number's unit.
// The zero value is empty. It is not safe for concurrent use.
type Sample struct{ sums moments }

// Add takes in one row.
func (s *Sample) Add(x float64) { s.sums.add(x) }

// Rows is how many rows there were.
func (s *Sample) Rows() int64 { return s.sums.n }

// Mean is 0 without rows.
func (s *Sample) Mean() float64 { return s.sums.mean }

// Variance is that of the mean, 0 with fewer than two rows.
func (s *Sample) Variance() float64 {
	return s.sums.m2 / float64(max(1, s.sums.n-1)) / float64(max(1, s.sums.n))
}
