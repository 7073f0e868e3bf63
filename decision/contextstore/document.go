package contextstore

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Document is what is known in one session of one namespace. Its properties are
// strings, float64, bools, nil, []any and map[string]any; they are the reader's
// own to change.
type Document struct {
	Key
	Properties map[string]any
	// PII names the properties that hold personal data.
	PII     []string
	TTL     time.Duration // of its own; 0 means the namespace's
	Created time.Time
	Updated time.Time
	Expires time.Time
	// Etag is the version, changed by every write.
	Etag string
}

// Lookup finds a value by a path such as "address.city": the property of that
// very name, else the longest property that the path begins with, and on inside
// of its objects.
func (d *Document) Lookup(path string) (any, bool) {
	if v, ok := d.Properties[path]; ok {
		return v, true
	}
	for end := strings.LastIndexByte(path, '.'); end > 0; end = strings.LastIndexByte(path[:end], '.') {
		inner, ok := d.Properties[path[:end]].(map[string]any)
		if !ok {
			continue
		}
		nested := Document{Properties: inner}
		return nested.Lookup(path[end+1:])
	}
	return nil, false
}

// String tells how much there is and none of it.
func (d *Document) String() string {
	return fmt.Sprintf("document in %s with %d properties", d.Namespace, len(d.Properties))
}

// LogValue keeps values and sessions, which may name people, out of logs.
func (d *Document) LogValue() slog.Value {
	return slog.GroupValue(slog.String("namespace", d.Namespace), slog.Int("properties", len(d.Properties)))
}

// Change is what a write does to one document. The document and its namespace
// need not exist.
type Change struct {
	Key
	// Set overwrites these properties; others stay. A nil value is a JSON null,
	// which is stored as such.
	Set map[string]any
	// Remove deletes these properties; missing ones are no fault.
	Remove []string
	// Replace drops what was there before.
	Replace bool
	// TTL changes the document's own time to live for this and later writes; 0
	// goes back to the namespace's, nil leaves it.
	TTL *time.Duration
	// KeepExpiry makes TTL hold for later writes alone: a document that is there
	// expires when it would have.
	KeepExpiry bool
	// Etag is the version that the document must be at: "" any, "0" none yet.
	Etag string
	// Path says where the change stands in the caller's input, for faults.
	Path string
}

// String tells how much is changed and none of it.
func (c *Change) String() string {
	return fmt.Sprintf("change in %s of %d properties", c.Namespace, len(c.Set)+len(c.Remove))
}

// LogValue keeps values and sessions, which may name people, out of logs.
func (c *Change) LogValue() slog.Value {
	return slog.GroupValue(slog.String("namespace", c.Namespace), slog.Int("properties", len(c.Set)+len(c.Remove)))
}

// Namespace groups documents.
type Namespace struct {
	ID string
	// TTL is how long documents without their own live after their last write;
	// 0 means the ceiling.
	TTL     time.Duration
	PII     []string // names of properties that hold personal data, sorted
	Created time.Time
	Etag    string
}

// NamespaceChange creates a namespace or changes it.
type NamespaceChange struct {
	ID  string
	TTL *time.Duration // for later writes; nil leaves it
	PII *[]string      // nil leaves it
	// AddPII are properties that hold personal data beside those of before.
	AddPII []string
	Etag   string // as in [Change]
}
