package model

import (
	"math"
	"slices"
)

// names shares learning between arms by what they are called. Operators name
// skills, bots and intents after what they are for, and customers use the same
// words; that a word of the context occurs in an arm's name is evidence for the
// arm before it was ever tried. How strong that evidence is, is one small
// regression for all arms together, so few outcomes settle it either way. The
// counts are those of information retrieval: a word is worth more the fewer
// arms and contexts it occurs in (Sparck Jones 1972).
type names struct {
	stems index     // stems of arm names
	seen  []float32 // by stem: contexts that had it
	arms  [][]int32 // by stem: columns of the arms named so
	words [][]int32 // by column: stems of the arm's name
	named int       // arms with at least one stem
	count float64   // contexts in all
	w     [matchSize]float64
	vari  [matchSize]float64
}

// What a name's match says of an arm: its share of what all arms match, how
// much of its name occurs, and whether no arm matches better.
const (
	matchShare = iota
	matchCover
	matchTop
	matchSize

	// shareWorth is what a sole match is taken for before anything was learned.
	shareWorth = 0.5

	stemLetters  = 5
	maxNameStems = 16
	limitStems   = 1 << 16
)

// match is the working memory for names: sums by column, and what is in them.
type match struct {
	sum        []float32
	hit        []int32
	stems      []int32
	total, top float32
}

// admit takes in the name of the arm in column at, once.
func (n *names) admit(at int32, id string) {
	if int(at) < len(n.words) && n.words[at] != nil {
		return
	}
	if n.words == nil {
		n.reset()
	}
	stems := make([]int32, 0, 4)
	// A stem is only put in for an arm that keeps it: each must name one.
	for w := (stemmer{text: id}); len(stems) < maxNameStems && w.next(); {
		if k := n.stems.put(w.key, limitStems); k >= 0 {
			stems = addOnce(stems, k)
		}
	}
	n.name(at, stems)
}

func (n *names) reset() {
	n.w[matchShare] = shareWorth
	for i := range n.vari {
		n.vari[i] = 1
	}
}

// name says that the arm in column at is called by stems.
func (n *names) name(at int32, stems []int32) {
	for len(n.words) <= int(at) {
		n.words = append(n.words, nil)
	}
	n.words[at] = stems
	n.growStems()
	for _, k := range stems {
		n.arms[k] = append(n.arms[k], at)
	}
	if len(stems) > 0 {
		n.named++
	}
}

func (n *names) growStems() {
	for len(n.seen) < n.stems.len() {
		n.seen = append(n.seen, 0)
		n.arms = append(n.arms, nil)
	}
}

// find fills m with the stems of ctx that occur in names, and with what every
// arm's name matches of them.
func (n *names) find(m *match, ctx *Features) {
	for _, at := range m.hit {
		m.sum[at] = 0
	}
	m.hit, m.stems, m.total, m.top = m.hit[:0], m.stems[:0], 0, 0
	if !n.telling() {
		return
	}
	for i := range ctx.Len() {
		e := &ctx.entries[i]
		if e.kind != kindWord && e.kind != kindCategory {
			continue
		}
		for w := (stemmer{text: e.text}); w.next(); {
			if k := n.stems.find(w.key); k >= 0 {
				m.stems = addOnce(m.stems, k)
			}
		}
	}
	for len(m.sum) < len(n.words) {
		m.sum = append(m.sum, 0)
	}
	n.sum(m)
}

// telling reports whether any stem tells arms apart. If none does, every name
// has all stems, and a name has few: the loop is short either way.
func (n *names) telling() bool {
	for k := range n.arms {
		if len(n.arms[k]) < n.named {
			return true
		}
	}
	return false
}

// sum adds up the worth of the stems found, arm by arm. Each sum is then
// weighted by the part of the name it covers.
func (n *names) sum(m *match) {
	for _, k := range m.stems {
		if len(n.arms[k]) == n.named {
			continue // in every name: it tells none from another
		}
		worth := n.worth(k)
		for _, at := range n.arms[k] {
			if m.sum[at] == 0 {
				m.hit = append(m.hit, at)
			}
			m.sum[at] += worth
		}
	}
	for _, at := range m.hit {
		m.sum[at] *= m.sum[at] / n.whole(at)
		m.total += m.sum[at]
		m.top = max(m.top, m.sum[at])
	}
}

// worth returns what the occurrence of stem k says.
func (n *names) worth(k int32) float32 {
	among := math.Log(1 + float64(n.named)/float64(len(n.arms[k])))
	within := math.Log(2+n.count/(1+float64(n.seen[k]))) / math.Log(2+n.count)
	return float32(among * within)
}

// whole returns the worth of a name that occurs in full.
func (n *names) whole(at int32) (sum float32) {
	for _, k := range n.words[at] {
		sum += n.worth(k)
	}
	return sum
}

// pair returns what m says of the arm in column at.
func (n *names) pair(m *match, at int32) (x [matchSize]float64, ok bool) {
	if at < 0 || int(at) >= len(m.sum) || m.sum[at] <= 0 {
		return x, false
	}
	v := m.sum[at]
	x[matchShare] = float64(v / m.total)
	x[matchCover] = float64(v / n.whole(at))
	if v >= m.top {
		x[matchTop] = 1
	}
	return x, true
}

func (n *names) predict(x *[matchSize]float64) (mean, variance float64) {
	for i, v := range x {
		mean += v * n.w[i]
		variance += v * v * n.vari[i]
	}
	return mean, variance
}

// learn makes the step that the linear family makes.
func (n *names) learn(x *[matchSize]float64, gain, information float64) {
	for i, v := range x {
		n.w[i] += gain * v * n.vari[i]
		n.vari[i] /= 1 + n.vari[i]*information*v*v
	}
}

// observe counts the context whose stems m holds.
func (n *names) observe(m *match) {
	if n.words == nil {
		return
	}
	n.count++
	for _, k := range m.stems {
		if n.seen[k] < maxCount {
			n.seen[k]++
		}
	}
}

func (n *names) clone() names {
	c := names{
		stems: n.stems.clone(), count: n.count, w: n.w, vari: n.vari, named: n.named,
		seen: append([]float32(nil), n.seen...), words: append([][]int32(nil), n.words...),
		arms: make([][]int32, len(n.arms)),
	}
	for k := range n.arms {
		c.arms[k] = append([]int32(nil), n.arms[k]...)
	}
	return c
}

func addOnce(list []int32, v int32) []int32 {
	if slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}

// stemmer walks the words of a text of three bytes or more that hold a letter:
// endings off (-s, -ies, -ing), cut to stemLetters, packed into a number. That
// is cruder than a real stemmer and needs neither tables nor a language.
type stemmer struct {
	text string
	key  uint64
}

func (s *stemmer) next() bool {
	for len(s.text) > 0 {
		from := 0
		for from < len(s.text) && !isWordByte(s.text[from]) {
			from++
		}
		to := from
		for to < len(s.text) && isWordByte(s.text[to]) {
			to++
		}
		word := s.text[from:to]
		s.text = s.text[to:]
		if s.key = stemOf(word); s.key != 0 {
			return true
		}
	}
	return false
}

func stemOf(word string) (key uint64) {
	n := len(word)
	if n < 3 {
		return 0
	}
	last := func(i int) byte { return word[n-i] | 0x20 }
	plural := byte(0)
	switch {
	case last(1) == 's' && last(2) == 'e' && last(3) == 'i' && n > 3:
		n, plural = n-3, 'y'
	case last(1) == 's' && last(2) != 's' && n > 3:
		n--
	case last(1) == 'g' && last(2) == 'n' && last(3) == 'i' && n > 5:
		n -= 3
	}
	letters := false
	for i := range min(n, stemLetters) {
		c := word[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		letters = letters || 'a' <= c && c <= 'z'
		key = key<<8 | uint64(c)
	}
	if plural != 0 && n < stemLetters {
		key = key<<8 | uint64(plural)
	}
	if !letters {
		return 0
	}
	return key
}
