package congestion

// Routing is the kind of a rule.
type Routing string

// The kinds of rules.
const (
	// LongestIdle gives a conversation to the capable agent who has been free for
	// longest; when nobody is free it waits for the first capable one. It reads no score.
	LongestIdle Routing = "longest_idle"
	// ScoreOnly sends it to the group of the highest score, however long the queue.
	ScoreOnly Routing = "score_only"
	// ScoreIfFree sends it to the highest score among groups with somebody free; when
	// there is none, to the highest score.
	ScoreIfFree Routing = "score_if_free"
	// Priced sends it to the highest [Priority]: score minus price x expected wait.
	Priced Routing = "wait_price"
)

// Signal is what a priced rule takes for the expected wait.
type Signal string

// The signals.
const (
	// Expected is what the engine makes of a report that has the mean handle time: the
	// wait is read off the queue, see [State.ExpectedWait].
	Expected Signal = "expected"
	// Reported is what it makes of a report without: the mean wait of those who got an
	// agent in the last 60 minutes. It lags behind the queue.
	Reported Signal = "reported"
)

// Rule says where conversations go.
type Rule struct {
	Routing Routing `json:"routing"`
	Price   float64 `json:"price"`            // reward per minute; Priced only
	Signal  Signal  `json:"signal,omitempty"` // Priced only
}

// choose returns the place in the kind's Capable of the group that a conversation
// goes to, -1 when it has been everywhere. LongestIdle is not asked here.
func (s *simulation) choose(j *job) int {
	k, scores := s.kindOf(j), s.world.Cases[j.place].Scores
	best, bestFree := -1, false
	var top float64
	for n, g := range k.Capable {
		if j.wasAt(g) {
			continue
		}
		free := s.groups[g].idle() > 0
		var cost float64
		if s.rule.Routing == Priced {
			cost = Cost(s.rule.Price, s.expectedWait(g))
		}
		p := Priority(scores[n], cost)
		better := best < 0 || p > top
		if s.rule.Routing == ScoreIfFree && best >= 0 && free != bestFree {
			better = free
		}
		if better {
			best, bestFree, top = n, free, p
		}
	}
	return best
}

func (s *simulation) expectedWait(g int) float64 {
	q := &s.groups[g]
	state := State{Queue: len(q.waiting), Agents: q.agents, Load: 1 - float64(q.idle())/float64(q.agents)}
	if s.rule.Signal == Reported {
		state.Mean = q.meanWait(s.now)
	} else {
		state.Handle = q.minutes
	}
	return state.ExpectedWait()
}

// longestIdle returns the place in Capable of the group with the agent who has been
// free for longest, -1 when none is free.
func (s *simulation) longestIdle(j *job) int {
	best := -1
	k := s.kindOf(j)
	for n, g := range k.Capable {
		if q := &s.groups[g]; !j.wasAt(g) && q.idle() > 0 && (best < 0 || q.idleSince[0] < s.groups[k.Capable[best]].idleSince[0]) {
			best = n
		}
	}
	return best
}
