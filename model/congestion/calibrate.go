package congestion

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/usherhq/usher/internal/fault"
)

// CalibrateConfig holds what a routing log cannot tell.
type CalibrateConfig struct {
	// Handle is the mean time that an agent works on a conversation. The log has the
	// time from opening to resolution, most of which is waiting; who needs more and who
	// less is taken from the number of updates.
	Handle time.Duration
	// Volume multiplies the arrivals: the same mix in a larger centre.
	Volume float64
	// Occupancy is the share of their time that agents would work if conversations went
	// where people sent them in the past half. Agents are rounded up.
	Occupancy float64
	// Staffing says whose demand agents are hired for.
	Staffing Staffing
}

// Staffing says by which routing agents are spread over the groups.
type Staffing string

// The ways to staff.
const (
	// StaffedForPeople follows the routing that people did in the past half.
	StaffedForPeople Staffing = "people"
	// StaffedForScores follows [ScoreOnly], as if its demand were known in advance:
	// as kind to that rule as can be.
	StaffedForScores Staffing = "scores"
)

// DefaultCalibrateConfig is a centre eight times the desk of the log.
func DefaultCalibrateConfig() CalibrateConfig {
	return CalibrateConfig{Handle: 20 * time.Minute, Volume: 8, Occupancy: 0.85, Staffing: StaffedForPeople}
}

// Validate reports every setting that makes no sense.
func (c CalibrateConfig) Validate() error {
	var errs []error
	if c.Handle < time.Second || c.Handle > 24*time.Hour {
		errs = append(errs, fmt.Errorf("handle is %v, must be 1s to 24h", c.Handle))
	}
	if !(c.Volume > 0 && c.Volume <= 100) {
		errs = append(errs, fmt.Errorf("volume is %g, must be above 0 and at most 100", c.Volume))
	}
	if !(c.Occupancy > 0 && c.Occupancy <= 1) {
		errs = append(errs, fmt.Errorf("occupancy is %g, must be above 0 and at most 1", c.Occupancy))
	}
	if c.Staffing != StaffedForPeople && c.Staffing != StaffedForScores {
		errs = append(errs, fmt.Errorf("staffing is %q, must be %s or %s", c.Staffing, StaffedForPeople, StaffedForScores))
	}
	return errors.Join(errs...)
}

// Shrinkage and what counts as experience. They are the same for every log.
const (
	capableFrom = 10 // first assignments of a kind in the past half
	pull        = 20 // rows that the next coarser rate weighs
	opens       = 8  // the centre is open from this hour
	closes      = 17 // to this one, Monday to Friday
)

// Calibrate makes a world of a log in order of opening. The first half is the past:
// from it come who is capable of what, how many agents there are, and the learner's
// scores. The second half is the future, which no rule sees: from it come the
// arrivals, the conversations, and the chances and times that decide what happens.
func Calibrate(log []Incident, cfg CalibrateConfig) (*World, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("calibrate: %w", err)
	}
	past, future := log[:len(log)/2], log[len(log)/2:]
	if len(past) < 100 {
		return nil, fault.New(fault.Invalid, "LOG_TOO_SHORT", "the routing log has %d usable rows; 200 are the least", len(log))
	}
	c := &calibration{cfg: cfg, past: count(past), future: count(future), world: &World{}, place: map[string]int{}, kinds: map[string]int{}}
	c.hours(future)
	c.groupsAndKinds()
	if len(c.world.Kinds) == 0 {
		return nil, fault.New(fault.Invalid, "LOG_TOO_SHORT", "no group was given %d conversations of one category", capableFrom)
	}
	open := slices.DeleteFunc(slices.Clone(future), func(in Incident) bool {
		_, known := c.kinds[in.Category]
		return !isOpen(in.Opened) || !known
	})
	if err := c.score(past, open, future[0].Opened); err != nil {
		return nil, err
	}
	c.staff()
	return c.world, c.world.Validate()
}

// calibration is a world in the making.
type calibration struct {
	cfg          CalibrateConfig
	past, future *counts
	world        *World
	place        map[string]int // of groups
	kinds        map[string]int
}

// pair is a kind of conversation in the hands of a group.
type pair struct{ category, group string }

// tally counts conversations, how many were resolved there, and the work they made.
type tally struct{ given, resolved, closed, updates float64 }

type counts struct {
	pairs  map[pair]tally
	groups map[string]tally
	all    tally
}

func count(log []Incident) *counts {
	c := &counts{pairs: map[pair]tally{}, groups: map[string]tally{}}
	for i := range log {
		in := &log[i]
		add := func(t tally) tally {
			t.given++
			if in.First == in.Final {
				t.resolved++
			}
			return t
		}
		work := func(t tally) tally { t.closed++; t.updates += in.Updates; return t }
		c.pairs[pair{in.Category, in.First}] = add(c.pairs[pair{in.Category, in.First}])
		c.groups[in.First], c.all = add(c.groups[in.First]), add(c.all)
		if in.First != in.Final {
			continue // the updates of a transferred one are the work of several groups
		}
		c.pairs[pair{in.Category, in.Final}] = work(c.pairs[pair{in.Category, in.Final}])
		c.groups[in.Final], c.all = work(c.groups[in.Final]), work(c.all)
	}
	return c
}

// resolves is the chance that a group resolves a kind when it is given it first,
// pulled to a prior where there are few rows.
func (c *counts) resolves(at pair, prior float64) float64 {
	t := c.pairs[at]
	return (t.resolved + pull*prior) / (t.given + pull)
}

// minutes is the mean handle time in units of the mean over all.
func (c *counts) minutes(at pair) float64 {
	mean := c.all.updates / max(c.all.closed, 1)
	g := c.groups[at.group]
	group := (g.updates + pull*mean) / (g.closed + pull)
	t := c.pairs[at]
	return (t.updates + pull*group) / (t.closed + pull) / max(mean, math.SmallestNonzeroFloat64)
}

// rate is that of a group over all kinds.
func (c *counts) rate(group string) float64 {
	mean := c.all.resolved / max(c.all.given, 1)
	t := c.groups[group]
	return (t.resolved + pull*mean) / (t.given + pull)
}

func isOpen(at time.Time) bool {
	return at.Weekday() != time.Saturday && at.Weekday() != time.Sunday && at.Hour() >= opens && at.Hour() < closes
}

// hours takes the rate of each hour of the day from the future half.
func (c *calibration) hours(future []Incident) {
	days := 0.0
	from, to := future[0].Opened.Truncate(24*time.Hour), future[len(future)-1].Opened
	for day := from; !day.After(to); day = day.AddDate(0, 0, 1) {
		if isOpen(day.Add(opens * time.Hour)) {
			days++
		}
	}
	c.world.PerHour = make([]float64, closes-opens)
	for i := range future {
		if at := future[i].Opened; isOpen(at) {
			c.world.PerHour[at.Hour()-opens] += c.cfg.Volume / max(days, 1)
		}
	}
}

// groupsAndKinds fills in who is capable of what, and how well.
func (c *calibration) groupsAndKinds() {
	able := map[string][]string{}
	for at, t := range c.past.pairs {
		if t.given >= capableFrom {
			able[at.category] = append(able[at.category], at.group)
			c.place[at.group] = 0
		}
	}
	names := sortedKeys(c.place)
	for i, name := range names {
		c.place[name] = i
		c.world.Groups = append(c.world.Groups, Group{Name: name})
	}
	for _, category := range sortedKeys(able) {
		groups := able[category]
		slices.Sort(groups) // as the places are
		k := Kind{Name: category}
		for _, g := range groups {
			at := pair{category, g}
			k.Capable = append(k.Capable, c.place[g])
			k.Resolve = append(k.Resolve, c.future.resolves(at, c.past.resolves(at, c.past.rate(g))))
			k.Minutes = append(k.Minutes, c.future.minutes(at)*c.cfg.Handle.Minutes())
		}
		c.kinds[category] = len(c.world.Kinds)
		c.world.Kinds = append(c.world.Kinds, k)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
