package golearn

// Node is a tree in our own form: it can be stored, sent and walked without golearn.
// A node without Kids is a leaf.
type Node struct {
	// Counts are the rows that reached the node, by class.
	Counts []int
	// Value is the mean reward there; only forests have it.
	Value float64
	// Column is split on: a number at Threshold, all else by its codes.
	Column    int
	Threshold float64
	Kids      []Kid
}

// Kid is one branch. Code is that of the column's value, or of a side of the
// threshold.
type Kid struct {
	Code uint16
	Node *Node
}

// Sides of a threshold. A number that a row does not have is on the low side.
const (
	sideLow  = 0 // at most the threshold
	sideHigh = 1
)

// class is the most frequent one, the first among equals.
func (n *Node) class() int {
	best := 0
	for i, c := range n.Counts {
		if c > n.Counts[best] {
			best = i
		}
	}
	return best
}

// kid is the branch that a code takes; nil when no row took it while growing.
func (n *Node) kid(code uint16) *Node {
	for i := range n.Kids {
		if n.Kids[i].Code == code {
			return n.Kids[i].Node
		}
	}
	return nil
}

// side is the code of a row at a column.
func (c *Column) side(row int, threshold float64) uint16 {
	switch {
	case c.Kind != Number:
		return c.Codes[row]
	case c.Numbers[row] > threshold: // false for NaN
		return sideHigh
	}
	return sideLow
}

// walk finds where a row ends up. A value that was not met there while growing stops
// at the node itself. visit, when not nil, sees every node on the way.
func (n *Node) walk(t *Table, row int, visit func(*Node)) *Node {
	for {
		if visit != nil {
			visit(n)
		}
		if len(n.Kids) == 0 {
			return n
		}
		next := n.kid(t.Columns[n.Column].side(row, n.Threshold))
		if next == nil {
			return n
		}
		n = next
	}
}

// size counts the nodes.
func (n *Node) size() int {
	sum := 1
	for _, k := range n.Kids {
		sum += k.Node.size()
	}
	return sum
}

// right is how many rows the tree below the node names the class of.
func (n *Node) right() (sum int) {
	if len(n.Kids) == 0 {
		return n.Counts[n.class()]
	}
	for _, k := range n.Kids {
		sum += k.Node.right()
	}
	return sum
}

// prune cuts splits that name fewer than gain more rows rightly than their node does.
func (n *Node) prune(gain int) {
	for _, k := range n.Kids {
		k.Node.prune(gain)
	}
	if len(n.Kids) > 0 && n.right()-n.Counts[n.class()] < gain {
		n.Kids = nil
	}
}
