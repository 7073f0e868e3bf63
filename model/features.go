package model

import (
	"math"

	"github.com/cespare/xxhash/v2"
)

// MaxFeatures bounds the entries of one Features value; later ones are ignored.
const MaxFeatures = 1024

// fieldKind says how a feature's value came to be.
type fieldKind uint8

const (
	kindCategory fieldKind = iota
	kindNumber
	kindWord
	kindCross
)

// entry is one hashed feature. The strings are headers of what the caller
// passed; they are read only when a learner names a feature it has not seen.
type entry struct {
	hash  uint64
	field uint64
	value float32
	kind  fieldKind
	twin  bool // present both as a number and as a category
	name  string
	text  string
	other int32 // index of the crossed entry when kind is kindCross
	from  int32
}

// Features is a reusable bag of features of a context or an arm. Names and
// values are hashed once, when added. After the first few uses it allocates
// nothing. The zero value is ready; it is not safe for concurrent use. The
// strings passed in must not change until the next Reset.
type Features struct {
	entries []entry
	word    []byte
}

// Reset empties the bag and keeps its memory.
func (f *Features) Reset() { f.entries = f.entries[:0] }

// Len returns how many features the bag holds.
func (f *Features) Len() int {
	if f == nil {
		return 0
	}
	return len(f.entries)
}

// AddString adds the categorical feature name=value. An empty value is kept: it
// means "known to be empty", which differs from a feature that is absent.
func (f *Features) AddString(name, value string) {
	field := xxhash.Sum64String(name)
	f.add(entry{
		hash: mix(field, xxhash.Sum64String(value)), field: field,
		value: 1, kind: kindCategory, name: name, text: value,
	})
}

// AddBool adds a yes/no feature as the categories "true" and "false".
func (f *Features) AddBool(name string, v bool) {
	if v {
		f.AddString(name, "true")
		return
	}
	f.AddString(name, "false")
}

// AddNumber adds a numeric feature in any unit; the learner scales it. NaN and
// infinities become the category name="missing", so that a bad sensor is
// something a model can learn rather than something that poisons it.
func (f *Features) AddNumber(name string, v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) || math.Abs(v) > math.MaxFloat32 {
		f.AddString(name, "missing")
		return
	}
	field := xxhash.Sum64String(name)
	f.add(entry{hash: mix(field, numberSalt), field: field, value: float32(v), kind: kindNumber, name: name})
}

// AddCode adds a whole number of which nobody knows whether it counts something
// or names something: as a number and as the category of its text.
func (f *Features) AddCode(name, text string, v float64) {
	n := len(f.entries)
	f.AddNumber(name, v)
	f.AddString(name, text)
	for i := n; i < len(f.entries); i++ {
		f.entries[i].twin = true
	}
}

// AddText lower-cases text, splits it into runs of [a-z0-9'] and adds one
// feature per distinct word.
func (f *Features) AddText(name, text string) {
	field := xxhash.Sum64String(name)
	first := len(f.entries)
	start := -1
	for i := 0; i <= len(text); i++ {
		if i < len(text) && isWordByte(text[i]) {
			if start < 0 {
				start = i
			}
			continue
		}
		if start >= 0 {
			f.addWord(field, first, name, text[start:i])
			start = -1
		}
	}
}

func (f *Features) addWord(field uint64, first int, name, word string) {
	f.word = f.word[:0]
	for i := 0; i < len(word); i++ {
		c := word[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		f.word = append(f.word, c)
	}
	h := mix(field^wordSalt, xxhash.Sum64(f.word))
	for i := first; i < len(f.entries); i++ {
		if f.entries[i].hash == h {
			return
		}
	}
	f.add(entry{hash: h, field: field, value: 1, kind: kindWord, name: name, text: word})
}

// Cross adds the pairs of every category or word named a with every one named b,
// both added before, so that a linear model can learn their combinations.
// Numbers are left out.
func (f *Features) Cross(a, b string) {
	fa, fb := xxhash.Sum64String(a), xxhash.Sum64String(b)
	n := len(f.entries)
	for i := range n {
		if !f.entries[i].crossable(fa) {
			continue
		}
		for j := range n {
			if !f.entries[j].crossable(fb) {
				continue
			}
			x, y := &f.entries[i], &f.entries[j]
			f.add(entry{
				hash: mix(x.hash, y.hash^crossSalt), field: mix(fa, fb), value: x.value * y.value,
				kind: kindCross, from: int32(i), other: int32(j),
			})
		}
	}
}

// dense reports whether the dense family may use the feature: numbers, and
// categories that are not codes.
func (e *entry) dense() bool {
	return e.kind == kindNumber || e.kind == kindCategory && !e.twin
}

// armValue returns the value of an arm's feature, numbers cut to -1..1.
func (e *entry) armValue() float32 { return min(max(e.value, -1), 1) }

func (e *entry) crossable(field uint64) bool {
	return e.field == field && (e.kind == kindCategory || e.kind == kindWord)
}

func (f *Features) add(e entry) {
	if len(f.entries) < MaxFeatures {
		f.entries = append(f.entries, e)
	}
}

// label spells entry i for people: "priority=1", "text:refund", "age", "a=1 x b=2".
func (f *Features) label(i int) string {
	e := &f.entries[i]
	switch e.kind {
	case kindNumber:
		return e.name
	case kindWord:
		return e.name + ":" + e.text
	case kindCross:
		return f.label(int(e.from)) + " x " + f.label(int(e.other))
	default:
		return e.name + "=" + e.text
	}
}

const (
	numberSalt = 0x9ae16a3b2f90404f
	wordSalt   = 0xd6e8feb86659fd93
	crossSalt  = 0xc3a5c85c97cb3127
	oddMul     = 0x9e3779b97f4a7c15
)

// mix joins two hashes by multiply-shift; it is not symmetric in its arguments.
func mix(a, b uint64) uint64 {
	h := (a ^ (b * oddMul)) * 0xbf58476d1ce4e5b9
	return h ^ h>>31
}

func isWordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '\''
}
