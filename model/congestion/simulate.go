package congestion

import (
	"container/heap"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// RunConfig says how long and how often a world is run.
type RunConfig struct {
	Days int    // simulated, after one more to warm up
	Seed uint64 // equal seeds give equal arrivals, whatever the rule
	// Attempts is how many groups a conversation is given to at most.
	Attempts int
}

// DefaultRunConfig runs four weeks of five days.
func DefaultRunConfig() RunConfig { return RunConfig{Days: 20, Seed: 1, Attempts: 3} }

// Validate reports every setting that makes no sense.
func (c RunConfig) Validate() error {
	var errs []error
	if c.Days < 1 || c.Days > 1000 {
		errs = append(errs, fmt.Errorf("days is %d, must be 1 to 1000", c.Days))
	}
	if c.Attempts < 1 || c.Attempts > maxAttempts {
		errs = append(errs, fmt.Errorf("attempts is %d, must be 1 to %d", c.Attempts, maxAttempts))
	}
	return errors.Join(errs...)
}

const maxAttempts = 10

// Metrics are what one run gave, over the conversations that arrived after the
// first day. Nothing of it was observed: it is simulated.
type Metrics struct {
	Conversations int     `json:"conversations"`
	MeanWait      float64 `json:"mean_wait_minutes"` // over all its queues, until the last agent took it
	P90Wait       float64 `json:"p90_wait_minutes"`
	// Resolved is the share that the first group resolved, ResolvedAtLast that of
	// those resolved within all attempts.
	Resolved       float64 `json:"resolved_first"`
	ResolvedAtLast float64 `json:"resolved_at_last"`
	Transfers      float64 `json:"transfers"` // per conversation
	Occupancy      float64 `json:"occupancy"` // share of the agents' time that is work, until the last arrival
}

// Run simulates a world under a rule. The same world, rule and config give the same
// numbers, and the same conversation meets the same luck in the same group whatever
// the rule: differences between rules are not those between draws.
func Run(w *World, rule Rule, cfg RunConfig) (Metrics, error) {
	if err := errors.Join(w.Validate(), cfg.Validate()); err != nil {
		return Metrics{}, fmt.Errorf("simulate: %w", err)
	}
	s := newSimulation(w, rule, cfg)
	s.run()
	return s.metrics(), nil
}

const minutesPerHour = 60

// simulation is one run.
type simulation struct {
	world  *World
	rule   Rule
	cfg    RunConfig
	rng    *rand.Rand // of arrivals only
	now    float64
	end    float64 // of arrivals
	groups []queue
	pool   []*job // LongestIdle: those who wait for anybody
	done   completions
	serial int
	jobs   int

	busy      float64
	waits     []float64
	first     int
	atLast    int
	transfers int
}

// job is a conversation on its way.
type job struct {
	id, place int // place in Cases
	tried     []int
	queued    float64 // since when it waits
	waited    float64
	counts    bool // it arrived after the warm-up
}

func (j *job) wasAt(g int) bool { return slices.Contains(j.tried, g) }

func newSimulation(w *World, rule Rule, cfg RunConfig) *simulation {
	s := &simulation{world: w, rule: rule, cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, arrivalStream))}
	s.end = float64((cfg.Days + 1) * len(w.PerHour) * minutesPerHour)
	s.groups = make([]queue, len(w.Groups))
	for g := range s.groups {
		s.groups[g] = newQueue(w.Groups[g].Agents)
	}
	sums, counts := make([]float64, len(w.Groups)), make([]float64, len(w.Groups))
	for i := range w.Cases {
		k := &w.Kinds[w.Cases[i].Kind]
		for n, g := range k.Capable {
			sums[g] += k.Minutes[n]
			counts[g]++
		}
	}
	for g := range s.groups {
		if counts[g] > 0 {
			s.groups[g].minutes = sums[g] / counts[g]
		}
	}
	return s
}

// arrivalStream and the salts below keep the draws apart.
const (
	arrivalStream = 0x61727269
	saltResolve   = 0x9e3779b97f4a7c15
	saltHandle    = 0xc2b2ae3d27d4eb4f
)

// luck is uniform on (0, 1) and depends on conversation, group and purpose alone.
func (s *simulation) luck(j *job, g int, salt uint64) float64 {
	x := s.cfg.Seed*0xd6e8feb86659fd93 ^ uint64(j.id)*0xff51afd7ed558ccd ^ uint64(g)*0xc4ceb9fe1a85ec53 ^ salt
	for range 2 {
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
	}
	return (float64(x>>11) + 0.5) / (1 << 53)
}

func (s *simulation) kindOf(j *job) *Kind { return &s.world.Kinds[s.world.Cases[j.place].Kind] }

// run goes from event to event until the last conversation has ended.
func (s *simulation) run() {
	next := s.nextArrival(0)
	for next < s.end || len(s.done) > 0 {
		if len(s.done) == 0 || next < s.end && next <= s.done[0].at {
			s.advance(next)
			s.arrive()
			next = s.nextArrival(next)
			continue
		}
		c, _ := heap.Pop(&s.done).(completion)
		s.advance(c.at)
		s.complete(c)
	}
}

func (s *simulation) advance(to float64) {
	if until := min(to, s.end); until > s.now {
		for g := range s.groups {
			s.busy += (until - s.now) * float64(s.groups[g].agents-s.groups[g].idle())
		}
	}
	s.now = to
}

// nextArrival thins a Poisson stream of the highest rate of the day.
func (s *simulation) nextArrival(after float64) float64 {
	most := slices.Max(s.world.PerHour)
	for at := after; at < s.end; {
		at += s.rng.ExpFloat64() * minutesPerHour / most
		hour := int(at/minutesPerHour) % len(s.world.PerHour)
		if s.rng.Float64()*most < s.world.PerHour[hour] {
			return at
		}
	}
	return math.Inf(1)
}

func (s *simulation) arrive() {
	day := float64(len(s.world.PerHour) * minutesPerHour)
	j := &job{id: s.jobs, place: s.rng.IntN(len(s.world.Cases)), queued: s.now, counts: s.now >= day}
	s.jobs++
	s.route(j)
}

// route gives a conversation to a group, or has it wait for one; one that has been
// everywhere ends.
func (s *simulation) route(j *job) {
	k := s.kindOf(j)
	if s.rule.Routing == LongestIdle {
		if n := s.longestIdle(j); n >= 0 {
			s.start(j, n)
			return
		}
		if slices.ContainsFunc(k.Capable, func(g int) bool { return !j.wasAt(g) }) {
			s.pool = append(s.pool, j)
			return
		}
		s.finish(j)
		return
	}
	n := s.choose(j)
	if n < 0 {
		s.finish(j)
		return
	}
	if g := k.Capable[n]; s.groups[g].idle() == 0 {
		s.groups[g].waiting = append(s.groups[g].waiting, j)
		return
	}
	s.start(j, n)
}

// start has the agent of the group who has been free for longest take it.
func (s *simulation) start(j *job, n int) {
	k := s.kindOf(j)
	g := k.Capable[n]
	q := &s.groups[g]
	q.idleSince = q.idleSince[1:]
	wait := s.now - j.queued
	j.waited += wait
	q.took(s.now, wait)
	if len(j.tried) > 0 && j.counts {
		s.transfers++
	}
	j.tried = append(j.tried, g)
	s.serial++
	handle := -math.Log(s.luck(j, g, saltHandle)) * k.Minutes[n]
	heap.Push(&s.done, completion{at: s.now + handle, serial: s.serial, job: j, n: n})
}

func (s *simulation) complete(c completion) {
	k := s.kindOf(c.job)
	g := k.Capable[c.n]
	s.groups[g].idleSince = append(s.groups[g].idleSince, s.now)
	resolved := s.luck(c.job, g, saltResolve) < k.Resolve[c.n]
	s.takeNext(g)
	switch {
	case resolved:
		if c.job.counts {
			s.atLast++
			if len(c.job.tried) == 1 {
				s.first++
			}
		}
		s.finish(c.job)
	case len(c.job.tried) >= s.cfg.Attempts:
		s.finish(c.job)
	default:
		c.job.queued = s.now
		s.route(c.job)
	}
}

// takeNext gives a free agent of the group whoever has waited for longest.
func (s *simulation) takeNext(g int) {
	q := &s.groups[g]
	if len(q.waiting) > 0 {
		j := q.waiting[0]
		q.waiting[0] = nil
		q.waiting = q.waiting[1:]
		s.start(j, slices.Index(s.kindOf(j).Capable, g))
		return
	}
	for i, j := range s.pool {
		n, ok := slices.BinarySearch(s.kindOf(j).Capable, g)
		if ok && !j.wasAt(g) {
			s.pool = slices.Delete(s.pool, i, i+1)
			s.start(j, n)
			return
		}
	}
}

func (s *simulation) finish(j *job) {
	if j.counts {
		s.waits = append(s.waits, j.waited)
	}
}

func (s *simulation) metrics() Metrics {
	n := len(s.waits)
	if n == 0 {
		return Metrics{}
	}
	agents, sum := 0, 0.0
	for _, g := range s.world.Groups {
		agents += g.Agents
	}
	slices.Sort(s.waits)
	for _, w := range s.waits {
		sum += w
	}
	of := func(k int) float64 { return float64(k) / float64(n) }
	return Metrics{
		Conversations: n, MeanWait: sum / float64(n), P90Wait: s.waits[min(n-1, n*9/10)],
		Resolved: of(s.first), ResolvedAtLast: of(s.atLast), Transfers: of(s.transfers),
		Occupancy: s.busy / (s.end * float64(agents)),
	}
}
