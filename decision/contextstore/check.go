package contextstore

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/usherhq/usher/internal/fault"
)

// CaptureNamespace is where captured attributes lie. Callers read it, delete from
// it, and write to it with [Store.Capture] alone.
const CaptureNamespace = "sde"

// maxName is the longest session or property name in bytes.
const maxName = 1024

// Reserved tells whether callers may not write to a namespace of this name, in
// whatever case: the names mean other families of attributes in policies.
func Reserved(namespace string) bool {
	switch strings.ToLower(namespace) {
	case "consumer", "operational", "conversation", "faas", "custom", CaptureNamespace:
		return true
	}
	return false
}

func checkNamespace(c *fault.Check, path, id string) {
	if id == "" {
		c.Add(path, "is missing")
		return
	}
	if len(id) > maxName {
		c.Add(path, "is longer than %d bytes", maxName)
		return
	}
	for i := range len(id) {
		if b := id[i]; b != '_' && (b < '0' || b > '9') && (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') {
			c.Add(path, "%q must be letters, digits and underscores", id)
			return
		}
	}
}

func checkWritable(c *fault.Check, path, id string) {
	if Reserved(id) {
		c.Add(path, "%q is reserved", id)
		return
	}
	checkNamespace(c, path, id)
}

func checkSession(c *fault.Check, path, id string) {
	switch {
	case id == "":
		c.Add(path, "is missing")
	case len(id) > maxName:
		c.Add(path, "is longer than %d bytes", maxName)
	case !utf8.ValidString(id) || fault.HasControl(id):
		c.Add(path, "must be UTF-8 without control characters")
	}
}

// checkKeys holds keys that are read against the rules.
func checkKeys(keys []Key) error {
	var c fault.Check
	for _, k := range keys {
		checkNamespace(&c, "namespace", k.Namespace)
		checkSession(&c, "session", k.Session)
	}
	return c.Err("the context cannot be read")
}

func checkTTL(c *fault.Check, path string, ttl *time.Duration) {
	if ttl != nil && *ttl < 0 {
		c.Add(path, "must not be negative")
	}
}

func checkEtag(c *fault.Check, path, etag string) {
	if etag == "" {
		return
	}
	if _, err := strconv.ParseUint(etag, 10, 64); err != nil {
		c.Add(path, "%q is no etag of this server", etag)
	}
}

func checkProperties(c *fault.Check, path string, names []string) {
	for _, name := range names {
		if name == "" || len(name) > maxName || !utf8.ValidString(name) || fault.HasControl(name) {
			c.Add(path, "a property's name must be 1 to %d bytes of UTF-8 without control characters", maxName)
		}
	}
}

// field joins a path and a field's name.
func field(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// Check returns what Write would find wrong with changes before it reads anything,
// nil for nothing. It is safe for concurrent use.
func Check(changes ...Change) error { return checkChanges(changes, false) }

// checkChanges names every fault of a batch at once.
func checkChanges(changes []Change, reserved bool) error {
	var c fault.Check
	seen := make(map[Key]bool, len(changes))
	for i := range changes {
		ch := &changes[i]
		if reserved {
			checkNamespace(&c, field(ch.Path, "namespace"), ch.Namespace)
		} else {
			checkWritable(&c, field(ch.Path, "namespace"), ch.Namespace)
		}
		checkSession(&c, field(ch.Path, "session"), ch.Session)
		checkTTL(&c, field(ch.Path, "ttl"), ch.TTL)
		checkEtag(&c, field(ch.Path, "etag"), ch.Etag)
		checkProperties(&c, field(ch.Path, "properties"), slices.Sorted(maps.Keys(ch.Set)))
		checkProperties(&c, field(ch.Path, "properties"), ch.Remove)
		for _, name := range slices.Sorted(maps.Keys(ch.Set)) {
			if _, err := appendValue(nil, ch.Set[name], 1); err != nil {
				c.Add(field(ch.Path, "properties")+"."+name, "%v", err)
			}
		}
		if seen[ch.Key] {
			c.Add(field(ch.Path, "session"), "the document is named twice in one batch")
		}
		seen[ch.Key] = true
	}
	return c.Err("the context cannot be written")
}

// checkVersion holds the version of what is stored, 0 for nothing, against the
// caller's etag.
func checkVersion(etag string, stored uint64) error {
	if etag == "" || etag == etagOf(stored) {
		return nil
	}
	e := fault.New(fault.Conflict, "ABORTED", "it was changed meanwhile: read it again and retry")
	e.Metadata = map[string]string{"etag": etagOf(stored)}
	return e
}
