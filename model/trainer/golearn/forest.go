package golearn

import (
	"math"
	"math/rand/v2"
	"slices"
)

// forestPlan says how to grow bagged trees of rewards.
type forestPlan struct {
	Rewards []float64 // by row
	Trees   int
	// Bag is how many rows each tree is grown from, drawn with replacement.
	Bag  int
	Seed uint64
	// Arm is the column that holds the arm; every tree may split on it.
	Arm int
}

// leaveOut is the chance that a tree does without a column other than the arm's.
const leaveOut = 1.0 / 3

// growForest grows the trees one after the other. Their classes are bins of rewards;
// the mean reward of the bag's rows is what they foretell.
func (req *request) growForest() ([]*Node, error) {
	p := req.Forest
	forest := make([]*Node, p.Trees)
	for i := range forest {
		r := rand.New(rand.NewPCG(p.Seed, uint64(i))) //nolint:gosec // repeatable on purpose
		bag := make([]int, p.Bag)
		for at := range bag {
			bag[at] = r.IntN(req.Train)
		}
		slices.Sort(bag)
		columns := make([]int, 0, len(req.Table.Columns))
		for c := range req.Table.Columns {
			if r.Float64() >= leaveOut || c == p.Arm {
				columns = append(columns, c)
			}
		}
		part := &Table{Rows: req.Table.Rows}
		for _, c := range columns {
			part.Columns = append(part.Columns, req.Table.Columns[c])
		}
		root, err := grow(part, req.Labels, req.Classes, bag, req.Shape)
		if err != nil {
			return nil, err
		}
		root.rename(columns)
		root.weigh(req.Table, p.Rewards, bag)
		forest[i] = root
	}
	return forest, nil
}

// rename turns the columns of a part of a table into those of the whole.
func (n *Node) rename(columns []int) {
	if len(n.Kids) > 0 {
		n.Column = columns[n.Column]
	}
	for _, k := range n.Kids {
		k.Node.rename(columns)
	}
}

// pull is how many rows of its parent's mean each node counts: means of few rows stay
// near what is known of more.
const pull = 5

// weigh sets every node's value from the rewards of the rows that reach it.
func (n *Node) weigh(t *Table, rewards []float64, rows []int) {
	sums, counts := map[*Node]float64{}, map[*Node]float64{}
	for _, row := range rows {
		n.walk(t, row, func(at *Node) {
			sums[at] += rewards[row]
			counts[at]++
		})
	}
	n.Value = sums[n] / max(1, counts[n])
	n.shrink(sums, counts)
}

func (n *Node) shrink(sums, counts map[*Node]float64) {
	for _, k := range n.Kids {
		k.Node.Value = (sums[k.Node] + pull*n.Value) / (counts[k.Node] + pull)
		k.Node.shrink(sums, counts)
	}
	n.Counts = nil // bins of rewards mean nothing to a reader
}

// score is what the trees foretell for one row, on average.
func score(forest []*Node, t *Table, row int) float64 {
	sum := 0.0
	for _, root := range forest {
		sum += root.walk(t, row, nil).Value
	}
	return sum / float64(len(forest))
}

// maxBins bounds the classes that rewards are put into.
const maxBins = 8

// bins puts rewards into classes: one for each where they are few, else as many rows
// in each. The first known rewards set the bounds.
func bins(rewards []float64, known int) (labels []int, classes int) {
	sorted := slices.Clone(rewards[:known])
	slices.Sort(sorted)
	bounds := slices.Compact(slices.Clone(sorted)) // upper bounds of the bins
	if len(bounds) > maxBins {
		bounds = bounds[:0]
		for i := 1; i <= maxBins; i++ {
			bounds = append(bounds, sorted[i*len(sorted)/maxBins-1])
		}
		bounds = slices.Compact(bounds)
	}
	labels = make([]int, len(rewards))
	for i, r := range rewards {
		at, _ := slices.BinarySearch(bounds, r)
		labels[i] = min(at, len(bounds)-1)
	}
	return labels, len(bounds)
}

// spread is a mean with the standard error of it.
func spread(values []float64) (mean, stdErr float64) {
	n := float64(len(values))
	for _, v := range values {
		mean += v / n
	}
	sum := 0.0
	for _, v := range values {
		sum += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(sum / max(1, n-1) / n)
}
