package golearn

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/usherhq/usher/model"
)

// sample is facts of n made-up decisions.
func sample(n int, seed uint64) []*model.Facts {
	r := rand.New(rand.NewPCG(seed, 1))
	facts := make([]*model.Facts, n)
	for i := range facts {
		f := &model.Facts{Channel: "web", Intent: []string{"cancel", "complaint", "invoice", "order", "other"}[r.IntN(5)], Attributes: map[string]any{
			"tier": []string{"gold", "silver", "bronze"}[r.IntN(3)], "vip": r.IntN(10) == 0, "balance": float64(r.IntN(2000)),
			"ticket": fmt.Sprint("t", i), "tags": []any{"a", "b"},
		}}
		if r.IntN(5) > 0 {
			f.Attributes["tenure"] = r.Float64() * 10
		}
		// The same once more, under another name: a tie wherever it counts.
		f.Attributes["tier_copy"] = f.Attributes["tier"]
		facts[i] = f
	}
	return facts
}

func all(n int) []int {
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	return rows
}

func TestTable(t *testing.T) {
	facts := sample(1000, 1)
	table := tableOf(facts, 1000, func(name string) bool { return name == "vip" })
	var names []string
	for _, c := range table.Columns {
		names = append(names, c.Name)
	}
	if want := []string{"balance", "channel", "intent", "tenure", "tier", "tier_copy"}; !reflect.DeepEqual(names, want) {
		t.Errorf("the columns are %v, want %v: no ids, no lists, nothing left out", names, want)
	}
	facts[0].Attributes["tier"] = "platinum"
	if c := tableOf(facts, 1000, nil).Columns[4]; c.Name != "tier" || c.Codes[0] != codeRare {
		t.Errorf("a value seen once is told apart: %+v", c.Values)
	}
	facts[0].Attributes["tier"] = 4.0
	for _, c := range tableOf(facts, 1000, nil).Columns {
		if c.Name == "tier" {
			t.Error("an attribute that is text and number is a column")
		}
	}
}

func grown(t *testing.T, table *Table, labels []int, classes int, s shape) *Node {
	t.Helper()
	root, err := grow(table, labels, classes, all(table.Rows), s)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// golearn breaks ties by the order of maps; the tree must not.
func TestSameRowsSameTree(t *testing.T) {
	facts := sample(600, 2)
	labels := make([]int, len(facts))
	for i, f := range facts {
		switch {
		case f.Attributes["tier"] == "gold" && f.Intent == "cancel":
			labels[i] = 1
		case f.Attributes["balance"].(float64) > 1000:
			labels[i] = 2
		}
	}
	table := tableOf(facts, len(facts), nil)
	first := grown(t, table, labels, 3, shape{Depth: 4, Leaf: 5})
	if wrong := len(facts) - first.right(); wrong > len(facts)/100 {
		t.Errorf("%d of %d rows are wrong in a tree deep enough", wrong, len(facts))
	}
	for range 5 {
		if again := grown(t, table, labels, 3, shape{Depth: 4, Leaf: 5}); !reflect.DeepEqual(again, first) {
			t.Fatal("the same rows gave another tree")
		}
	}
	counts, accuracy, err := confusion(table, labels, 3, first, all(len(facts)))
	if err != nil || accuracy != float64(first.right())/float64(len(facts)) || counts[0][0]+counts[1][1]+counts[2][2] != first.right() {
		t.Errorf("golearn counts %v, accuracy %v, %v", counts, accuracy, err)
	}
}

func TestDepth(t *testing.T) {
	facts := sample(500, 3)
	labels := make([]int, len(facts))
	for i, f := range facts {
		if f.Attributes["tier"] == "gold" && f.Intent == "cancel" {
			labels[i] = 1
		}
	}
	var deep func(n *Node) int
	deep = func(n *Node) int {
		most := 0
		for _, k := range n.Kids {
			most = max(most, 1+deep(k.Node))
		}
		return most
	}
	table := tableOf(facts, len(facts), nil)
	for depth := range 4 {
		if got := deep(grown(t, table, labels, 2, shape{Depth: depth, Leaf: 5})); got > depth {
			t.Errorf("a tree of depth %d is %d deep", depth, got)
		}
	}
}
