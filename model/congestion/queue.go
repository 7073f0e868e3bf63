package congestion

// queue is a group at work.
type queue struct {
	agents    int
	minutes   float64   // mean handle time, over the conversations it may be given
	idleSince []float64 // of the free agents, the longest free first
	waiting   []*job    // in order of coming
	recent    []taken   // of the last hour
	sum       float64   // of the waits of recent
}

// taken is one conversation that got an agent.
type taken struct{ at, wait float64 }

func newQueue(agents int) queue {
	return queue{agents: agents, idleSince: make([]float64, agents)}
}

func (q *queue) idle() int { return len(q.idleSince) }

func (q *queue) took(now, wait float64) {
	q.recent = append(q.recent, taken{now, wait})
	q.sum += wait
}

// meanWait is that of the last 60 minutes; when nobody got an agent in them, how
// long the first of those waiting has waited.
func (q *queue) meanWait(now float64) float64 {
	for len(q.recent) > 0 && q.recent[0].at < now-minutesPerHour {
		q.sum -= q.recent[0].wait
		q.recent = q.recent[1:]
	}
	if len(q.recent) == 0 {
		q.sum = 0 // what rounding left
		if len(q.waiting) > 0 {
			return now - q.waiting[0].queued
		}
		return 0
	}
	return max(q.sum, 0) / float64(len(q.recent))
}

// completion is an agent who will be done.
type completion struct {
	at     float64
	serial int // breaks ties
	job    *job
	n      int // place of the group in Capable
}

// completions is a heap by time.
type completions []completion

func (c completions) Len() int { return len(c) }
func (c completions) Less(i, j int) bool {
	if c[i].at != c[j].at {
		return c[i].at < c[j].at
	}
	return c[i].serial < c[j].serial
}
func (c completions) Swap(i, j int) { c[i], c[j] = c[j], c[i] }

// Push implements heap.Interface.
func (c *completions) Push(x any) {
	if one, ok := x.(completion); ok {
		*c = append(*c, one)
	}
}

// Pop implements heap.Interface.
func (c *completions) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}
