package function

import (
	"container/list"
	"sync"
	"time"
)

// cache keeps results until they are too old, or the least used of too many. Its
// values are shared: nobody may change them.
type cache struct {
	limit int // bytes, about

	mu      sync.Mutex
	size    int
	entries map[string]*list.Element
	recent  list.List // of *entry, the latest used first
}

type entry struct {
	key         string
	value       any
	size        int
	made, until time.Time
}

func newCache(limit int) *cache {
	return &cache{limit: limit, entries: map[string]*list.Element{}}
}

// get returns a value and its age.
func (c *cache) get(key string, now time.Time) (value any, age time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.entries[key]
	if !ok {
		return nil, 0, false
	}
	e, _ := at.Value.(*entry)
	if !now.Before(e.until) {
		c.drop(at)
		return nil, 0, false
	}
	c.recent.MoveToFront(at)
	return e.value, max(0, now.Sub(e.made)), true
}

func (c *cache) put(key string, value any, now time.Time, ttl time.Duration) {
	size := len(key) + sizeOf(value) + 200
	if size > c.limit/8 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, ok := c.entries[key]; ok {
		c.drop(at)
	}
	c.entries[key] = c.recent.PushFront(&entry{key: key, value: value, size: size, made: now, until: now.Add(ttl)})
	c.size += size
	for c.size > c.limit {
		c.drop(c.recent.Back())
	}
}

func (c *cache) drop(at *list.Element) {
	e, _ := c.recent.Remove(at).(*entry)
	delete(c.entries, e.key)
	c.size -= e.size
}

// sizeOf is about what a value takes in memory.
func sizeOf(v any) int {
	const box = 32
	switch v := v.(type) {
	case string:
		return box + len(v)
	case []any:
		n := box
		for _, e := range v {
			n += sizeOf(e)
		}
		return n
	case map[string]any:
		n := box
		for k, e := range v {
			n += box + len(k) + sizeOf(e)
		}
		return n
	}
	return box
}
