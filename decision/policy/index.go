package policy

import "github.com/usherhq/usher/pipeline/event"

// index finds the policies that can match without asking each: a policy that
// needs intent = refund is looked at only when the intent is refund. Every live
// policy is in exactly one place: under each value of the one need it is posted
// for, or in rest. A slot holds one value, so a policy comes up at most once.
type index struct {
	rest  []int32
	slots []slotIndex
}

// slotIndex lists, for each value of one slot, the policies in order.
type slotIndex struct {
	slot  int
	lists map[string][]int32
}

// minIndexed is the number of live policies from which looking up is cheaper
// than asking each.
const minIndexed = 8

func newIndex(rules []*Rule) index {
	type key struct {
		slot  int
		value string
	}
	live, share := 0, map[key]int{}
	for _, r := range rules {
		if r.state != event.True {
			continue
		}
		live++
		for _, n := range r.needs {
			for _, v := range n.values {
				share[key{n.slot, v}]++
			}
		}
	}
	var x index
	for i, r := range rules {
		if r.state != event.True {
			continue
		}
		var best *need
		least := len(rules) + 1
		for j := range r.needs {
			// The need whose commonest value the fewest policies share: being
			// looked at in vain is what an index is there to avoid.
			worst := 0
			for _, v := range r.needs[j].values {
				worst = max(worst, share[key{r.needs[j].slot, v}])
			}
			if worst < least {
				best, least = &r.needs[j], worst
			}
		}
		if best == nil || live < minIndexed {
			x.rest = append(x.rest, int32(i))
			continue
		}
		x.post(best, int32(i))
	}
	return x
}

func (x *index) post(n *need, policy int32) {
	at := -1
	for i := range x.slots {
		if x.slots[i].slot == n.slot {
			at = i
		}
	}
	if at < 0 {
		at = len(x.slots)
		x.slots = append(x.slots, slotIndex{slot: n.slot, lists: map[string][]int32{}})
	}
	lists := x.slots[at].lists
	for _, v := range n.values {
		// A list of values may repeat one.
		if l := lists[v]; len(l) == 0 || l[len(l)-1] != policy {
			lists[v] = append(l, policy)
		}
	}
}

// cursor is what is left of one list of policies.
type cursor []int32

// start opens a cursor on every list that the loaded facts point to.
func (in *Input) start() {
	x := &in.set.index
	in.cursors = in.cursors[:0]
	if len(x.rest) > 0 {
		in.cursors = append(in.cursors, x.rest)
	}
	for i := range x.slots {
		v := &in.values[x.slots[i].slot]
		if v.kind != kindString {
			continue
		}
		if l := x.slots[i].lists[v.str]; len(l) > 0 {
			in.cursors = append(in.cursors, l)
		}
	}
}

// pop returns the first place in the list that no cursor has passed, or -1.
func (in *Input) pop() int {
	best := -1
	for i := range in.cursors {
		if c := in.cursors[i]; len(c) > 0 && (best < 0 || c[0] < in.cursors[best][0]) {
			best = i
		}
	}
	if best < 0 {
		return -1
	}
	at := in.cursors[best][0]
	in.cursors[best] = in.cursors[best][1:]
	return int(at)
}
