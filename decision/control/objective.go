package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// DefaultWindow is how long outcomes count when an objective does not say.
const DefaultWindow = 30 * 24 * time.Hour

// maxWaitPrice bounds what a minute may cost, in units of the reward.
const maxWaitPrice = 1e6

// What decisions teach whose outcomes may still come. Empty means to wait.
const (
	// OpenRowsWait counts each decision once, when an outcome has come or its window has passed.
	OpenRowsWait = "WAIT"
	// OpenRowsWeigh lets an outcome also stand for those of its age that have not come yet.
	OpenRowsWeigh = "WEIGH"
)

// Objective is a versioned reward as stored.
type Objective struct {
	event.Objective
	ID          string
	Description string
	Version     int64 // counts the rewards it has meant, from 1
	Revision    int64
	Updated     time.Time
}

// objectiveDocument is how an objective lies in the config log; readers who only
// need the reward read it as an event.Objective.
type objectiveDocument struct {
	event.Objective
	Description string `json:"description,omitempty"`
	Version     int64  `json:"version"`
}

// Objectives lists an account's objectives by id.
func (c *Control) Objectives(account string) ([]Objective, error) {
	var out []Objective
	for _, r := range c.store.State().List(account, configlog.KindObjective) {
		o, err := readObjective(r)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// GetObjective returns an objective, or a NotFound fault.
func (c *Control) GetObjective(account, id string) (Objective, error) {
	r, ok := c.store.State().Get(account, configlog.KindObjective, id)
	if !ok {
		return Objective{}, notFound("objective", id)
	}
	return readObjective(r)
}

func readObjective(r configlog.Resource) (Objective, error) {
	var d objectiveDocument
	if err := read(r, &d); err != nil {
		return Objective{}, err
	}
	return Objective{
		Objective: d.Objective, ID: r.Name, Description: d.Description,
		Version: d.Version, Revision: r.Revision, Updated: r.Time,
	}, nil
}

// ObjectiveVersion is an objective as one write left it.
type ObjectiveVersion struct {
	Objective
	Author, Reason string
}

// ObjectiveVersions lists what an objective ever said, newest first. None is a
// NotFound fault.
func (c *Control) ObjectiveVersions(account, id string) ([]ObjectiveVersion, error) {
	var out []ObjectiveVersion
	for _, v := range slices.Backward(c.store.State().History(account, configlog.KindObjective)) {
		if v.Name != id || v.Deleted {
			continue
		}
		o, err := readObjective(v.Resource)
		if err != nil {
			return nil, err
		}
		out = append(out, ObjectiveVersion{Objective: o, Author: v.Author, Reason: v.Reason})
	}
	if len(out) == 0 {
		return nil, notFound("objective", id)
	}
	return out, nil
}

// CreateObjective adds an objective to an account.
func (c *Control) CreateObjective(ctx context.Context, account string, o Objective, by Author) (Objective, error) {
	o.Revision, o.Version = 0, 1
	for _, v := range c.store.State().History(account, configlog.KindObjective) {
		if before, err := readObjective(v.Resource); err == nil && v.Name == o.ID {
			o.Version = max(o.Version, before.Version+1) // one that was deleted may have meant anything
		}
	}
	return c.writeObjective(ctx, account, o, by)
}

// UpdateObjective writes an objective, as a new version when its reward comes to mean
// something else. A Revision other than 0 guards it.
func (c *Control) UpdateObjective(ctx context.Context, account string, o Objective, by Author) (Objective, error) {
	return unguarded(o.Revision, func() (Objective, error) {
		current, err := c.GetObjective(account, o.ID)
		if err != nil {
			return Objective{}, err
		}
		next := o
		next.Revision = cmp.Or(o.Revision, current.Revision)
		if next.Version = current.Version; !next.rewardsAs(current) {
			next.Version++
		}
		return c.writeObjective(ctx, account, next, by)
	})
}

func (c *Control) writeObjective(ctx context.Context, account string, o Objective, by Author) (Objective, error) {
	if _, err := c.GetAccount(account); err != nil {
		return Objective{}, err
	}
	o.fill()
	if err := o.check(); err != nil {
		return Objective{}, err
	}
	d := objectiveDocument{Objective: o.Objective, Description: o.Description, Version: o.Version}
	r, err := c.write(ctx, event.ConfigChange{Account: account, Kind: configlog.KindObjective, Name: o.ID, Base: o.Revision}, d, by)
	if err != nil {
		return Objective{}, err
	}
	return readObjective(r)
}

// fill puts the documented defaults where nothing was said.
func (o *Objective) fill() {
	if o.Min == 0 && o.Max == 0 {
		o.Max = 1
	}
	if o.Window == 0 {
		o.Window = DefaultWindow
	}
	o.Terms = slices.Clone(o.Terms)
	for i := range o.Terms {
		if o.Terms[i].Aggregate == "" {
			o.Terms[i].Aggregate = "last"
		}
	}
}

// rewardsAs says whether both make the same rewards of the same outcomes, so that
// models learned under one can be held against models of the other. Margin, price and
// description are about what is done with rewards.
func (o Objective) rewardsAs(before Objective) bool {
	o.fill()
	before.fill()
	silence := o.DefaultReward == nil && before.DefaultReward == nil ||
		o.DefaultReward != nil && before.DefaultReward != nil && *o.DefaultReward == *before.DefaultReward
	return silence && slices.Equal(o.Terms, before.Terms) && o.Bias == before.Bias && o.Min == before.Min && o.Max == before.Max &&
		o.Window == before.Window && cmp.Or(o.OpenRows, OpenRowsWait) == cmp.Or(before.OpenRows, OpenRowsWait)
}

// check lists every fault of a filled objective.
func (o *Objective) check() error {
	var c fault.Check
	checkID(&c, "name", o.ID)
	if len(o.Terms) == 0 || len(o.Terms) > 50 {
		c.Add("terms", "must be 1 to 50 terms")
	}
	for i, t := range o.Terms {
		at := fmt.Sprintf("terms[%d].", i)
		if t.Kind == "" || len(t.Kind) > 256 {
			c.Add(at+"kind", "must name a kind of outcome")
		}
		if t.Weight == 0 || !finite(t.Weight) {
			c.Add(at+"weight", "must be a finite number other than 0")
		}
		if !slices.Contains([]string{"last", "first", "sum", "max"}, t.Aggregate) {
			c.Add(at+"aggregate", "must be last, first, sum or max")
		}
	}
	if !finite(o.Bias) {
		c.Add("bias", "must be finite")
	}
	if !finite(o.Min) || !finite(o.Max) || o.Min >= o.Max {
		c.Add("max", "must be finite and greater than min")
	}
	if o.Window < time.Second || o.Window > 400*24*time.Hour {
		c.Add("window", "must be between 1 second and 400 days")
	}
	if r := o.DefaultReward; r != nil && (!finite(*r) || *r < o.Min || *r > o.Max) {
		c.Add("default_reward", "must lie between min and max")
	}
	if !finite(o.Margin) || o.Margin > o.Max-o.Min || o.Margin < o.Min-o.Max {
		c.Add("margin", "must be a gain that rewards between min and max can have, or minus the loss that is risked")
	}
	if !slices.Contains([]string{"", OpenRowsWait, OpenRowsWeigh}, o.OpenRows) {
		c.Add("open_rows", "must be %s or %s", OpenRowsWait, OpenRowsWeigh)
	}
	if !finite(o.WaitPrice) || o.WaitPrice < 0 || o.WaitPrice > maxWaitPrice {
		c.Add("wait_price", "must be between 0 and %g", float64(maxWaitPrice))
	}
	return c.Err("the objective is not valid")
}

// waitPrices reads what waiting costs under each objective that has a price on it.
func waitPrices(objectives []configlog.Resource) map[string]float64 {
	var out map[string]float64
	for _, r := range objectives {
		o, err := readObjective(r)
		if err != nil || o.WaitPrice <= 0 {
			continue // one that cannot be read was written by a version that knew more
		}
		if out == nil {
			out = map[string]float64{}
		}
		out[r.Name] = o.WaitPrice
	}
	return out
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func asFault(err error) (*fault.Error, bool) { return errors.AsType[*fault.Error](err) }
