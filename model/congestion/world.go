package congestion

import (
	"errors"
	"fmt"
)

// World is a contact centre to simulate. Times are in minutes; groups are known by
// their place.
type World struct {
	Groups []Group
	// Kinds are what conversations may be about, Cases the conversations that
	// arrivals are drawn from, each as likely as the other.
	Kinds []Kind
	Cases []Case
	// PerHour is the rate of arrivals in each hour of the day the centre is open;
	// days follow each other without a night.
	PerHour []float64
}

// Group is a queue with people behind it.
type Group struct {
	Name   string
	Agents int
}

// Kind says what each group makes of one kind of conversation.
type Kind struct {
	Name    string
	Capable []int     // the groups that may be given one, ascending
	Resolve []float64 // chance that the group of this place in Capable resolves it
	Minutes []float64 // mean handle time there, resolved or not
}

// Case is one conversation: its kind, and what the learner expects of each group
// that is capable.
type Case struct {
	Kind   int
	Scores []float64 // in the order of Capable
}

// Validate reports what makes a world impossible to simulate.
func (w *World) Validate() error {
	var errs []error
	if len(w.Groups) == 0 || len(w.Kinds) == 0 || len(w.Cases) == 0 || len(w.PerHour) == 0 {
		errs = append(errs, errors.New("a world needs groups, kinds, cases and hours"))
	}
	for _, g := range w.Groups {
		if g.Agents < 1 {
			errs = append(errs, fmt.Errorf("group %q has no agents", g.Name))
		}
	}
	for i := range w.Kinds {
		k := &w.Kinds[i]
		if n := len(k.Capable); n == 0 || len(k.Resolve) != n || len(k.Minutes) != n {
			errs = append(errs, fmt.Errorf("kind %q: lists of groups, chances and minutes must be of one length, not 0", k.Name))
		}
		for n := range k.Capable {
			if k.Capable[n] < 0 || k.Capable[n] >= len(w.Groups) || n > 0 && k.Capable[n] <= k.Capable[n-1] {
				errs = append(errs, fmt.Errorf("kind %q: groups must exist and ascend", k.Name))
			}
		}
	}
	for i := range w.Cases {
		if k := w.Cases[i].Kind; k < 0 || k >= len(w.Kinds) || len(w.Cases[i].Scores) != len(w.Kinds[k].Capable) {
			errs = append(errs, fmt.Errorf("case %d: kind and scores do not fit", i))
		}
	}
	most := 0.0
	for _, rate := range w.PerHour {
		if !(rate >= 0) {
			errs = append(errs, errors.New("rates must not be negative"))
		}
		most = max(most, rate)
	}
	if most == 0 {
		errs = append(errs, errors.New("nobody ever arrives"))
	}
	return errors.Join(errs...)
}
