package congestion

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/usherhq/usher/model"
)

// score trains a learner on the past and has it score what is to come. What the past
// did not know yet when the future began, it does not learn.
func (c *calibration) score(past, future []Incident, now time.Time) error {
	learner, err := model.New(model.DefaultConfig())
	if err != nil {
		return err
	}
	var enc model.Encoder
	for i := range past {
		in := &past[i]
		if in.Resolved.IsZero() || in.Resolved.After(now) {
			continue
		}
		options := c.options(in)
		chosen := slices.IndexFunc(options, func(o model.Option) bool { return o.Key == in.First })
		if chosen < 0 {
			chosen = len(options)
			options = append(options, model.Option{Key: in.First})
		}
		reward := 0.0
		if in.First == in.Final {
			reward = 1
		}
		err := learner.Learn(model.Example{
			Context: enc.Context(facts(in)), Arms: enc.Arms(options, ""), Chosen: chosen, Reward: reward,
		})
		if err != nil {
			return fmt.Errorf("learn incident of %s: %w", in.Opened, err)
		}
	}
	frozen := learner.Snapshot("past")
	var scratch model.Scratch
	for i := range future {
		in := &future[i]
		options := c.options(in)
		out := make([]model.Score, len(options))
		frozen.Score(&scratch, enc.Context(facts(in)), enc.Arms(options, ""), out)
		one := Case{Kind: c.kinds[in.Category], Scores: make([]float64, len(out))}
		for n := range out {
			one.Scores[n] = out[n].Value
		}
		c.world.Cases = append(c.world.Cases, one)
	}
	return nil
}

// options are the groups that an incident may be given to.
func (c *calibration) options(in *Incident) []model.Option {
	at, ok := c.kinds[in.Category]
	if !ok {
		return nil
	}
	k := &c.world.Kinds[at]
	out := make([]model.Option, len(k.Capable))
	for n, g := range k.Capable {
		out[n].Key = c.world.Groups[g].Name
	}
	return out
}

// facts are what was known when the incident was opened; where people sent it is not.
func facts(in *Incident) *model.Facts {
	f := &model.Facts{Channel: in.Channel, Attributes: make(map[string]any, len(in.Known)+2)}
	for name, v := range in.Known {
		f.Attributes[name] = v
	}
	f.Attributes["hour"] = float64(in.Opened.Hour())
	f.Attributes["weekday"] = in.Opened.Weekday().String()
	return f
}

// staff hires agents for the work that a routing brings each group, transfers
// included.
func (c *calibration) staff() {
	load := make([]float64, len(c.world.Groups))
	if c.cfg.Staffing == StaffedForScores {
		c.scoreLoad(load)
	} else {
		c.pastLoad(load)
	}
	perHour := 0.0
	for _, rate := range c.world.PerHour {
		perHour += rate / float64(len(c.world.PerHour))
	}
	for g := range load {
		erlangs := load[g] * perHour / minutesPerHour
		c.world.Groups[g].Agents = max(1, int(math.Ceil(erlangs/c.cfg.Occupancy)))
	}
}

// pastLoad is the work per conversation, in minutes, that people's routing brought.
func (c *calibration) pastLoad(load []float64) {
	weights := c.mix()
	for i := range c.world.Kinds {
		k := &c.world.Kinds[i]
		var given float64
		for _, g := range k.Capable {
			given += c.past.pairs[pair{k.Name, c.world.Groups[g].Name}].given
		}
		for n, g := range k.Capable {
			share := c.past.pairs[pair{k.Name, c.world.Groups[g].Name}].given / given
			spread(load, k, n, weights[i]*share, func(n int) float64 {
				return c.past.pairs[pair{k.Name, c.world.Groups[k.Capable[n]].Name}].given
			})
		}
	}
}

// scoreLoad is the work that sending everything to the highest score brings.
func (c *calibration) scoreLoad(load []float64) {
	for i := range c.world.Cases {
		one := &c.world.Cases[i]
		k := &c.world.Kinds[one.Kind]
		n := 0
		for m := range one.Scores {
			if one.Scores[m] > one.Scores[n] {
				n = m
			}
		}
		spread(load, k, n, 1/float64(len(c.world.Cases)), func(n int) float64 { return one.Scores[n] })
	}
}

// spread adds the work of conversations that are given to one group first and, as
// far as it does not resolve them, once more to the others by weight.
func spread(load []float64, k *Kind, first int, amount float64, weight func(int) float64) {
	load[k.Capable[first]] += amount * k.Minutes[first]
	var sum float64
	for n := range k.Capable {
		if n != first {
			sum += max(weight(n), 0)
		}
	}
	if sum <= 0 {
		return
	}
	left := amount * (1 - k.Resolve[first])
	for n, g := range k.Capable {
		if n != first {
			load[g] += left * max(weight(n), 0) / sum * k.Minutes[n]
		}
	}
}

// mix is the share of each kind among the conversations to come.
func (c *calibration) mix() []float64 {
	out := make([]float64, len(c.world.Kinds))
	for i := range c.world.Cases {
		out[c.world.Cases[i].Kind] += 1 / float64(len(c.world.Cases))
	}
	return out
}
