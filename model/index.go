package model

// index numbers 64-bit keys in the order in which they were first added: an
// open-addressing hash table over a flat key list, so that a look-up is one
// probe, a copy is two memmoves and the encoding is the key list alone.
type index struct {
	keys  []uint64
	slots []int32 // position in keys plus one; 0 is free
}

// find returns the number of key, or -1.
func (x *index) find(key uint64) int32 {
	if len(x.slots) == 0 {
		return -1
	}
	mask := uint64(len(x.slots) - 1)
	for i := (key * oddMul) >> 20 & mask; ; i = (i + 1) & mask {
		s := x.slots[i]
		if s == 0 {
			return -1
		}
		if x.keys[s-1] == key {
			return s - 1
		}
	}
}

// put returns the number of key, adding it when it is new and fewer than limit
// keys are held; it returns -1 when there is no room.
func (x *index) put(key uint64, limit int) int32 {
	if at := x.find(key); at >= 0 {
		return at
	}
	if len(x.keys) >= limit {
		return -1
	}
	x.keys = append(x.keys, key)
	if len(x.keys)*2 > len(x.slots) {
		x.rebuild()
	} else {
		x.insert(int32(len(x.keys)))
	}
	return int32(len(x.keys) - 1)
}

func (x *index) rebuild() {
	size := 16
	for size < len(x.keys)*4 {
		size *= 2
	}
	x.slots = make([]int32, size)
	for i := range x.keys {
		x.insert(int32(i + 1))
	}
}

func (x *index) insert(slot int32) {
	mask := uint64(len(x.slots) - 1)
	i := (x.keys[slot-1] * oddMul) >> 20 & mask
	for x.slots[i] != 0 {
		i = (i + 1) & mask
	}
	x.slots[i] = slot
}

func (x *index) len() int { return len(x.keys) }

func (x *index) clone() index {
	return index{keys: append([]uint64(nil), x.keys...), slots: append([]int32(nil), x.slots...)}
}
