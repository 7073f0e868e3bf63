package contextstore

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"
)

// recordFormat is the byte after the header, for those who come later.
const recordFormat = 1

// record is what lies under a key. That of a namespace has its list of personal
// properties for properties.
type record struct {
	version    uint64
	expires    int64 // milliseconds of Unix time
	created    int64
	updated    int64
	ttl        int64 // milliseconds, 0 for none of its own
	properties map[string]any
}

// encode makes the bytes of a record.
func (r *record) encode() ([]byte, error) {
	b := append(NewHeader(r.version, r.expires), recordFormat)
	for _, n := range []int64{r.created, r.updated, r.ttl} {
		b = binary.AppendUvarint(b, uint64(n)) //nolint:gosec // none is negative
	}
	return appendObject(b, r.properties, 0)
}

// decode reads a record back. One that is missing or expired at now is nil.
func decode(text string, now int64) (*record, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // nothing there is a result, not a fault
	}
	if len(text) <= HeaderSize || text[HeaderSize] != recordFormat {
		return nil, errRecord
	}
	expires := RecordExpiry(text)
	if expires <= now {
		return nil, nil //nolint:nilnil // as above
	}
	r := reader{rest: text[HeaderSize+1:]}
	out := &record{version: RecordVersion(text), expires: expires}
	for _, n := range []*int64{&out.created, &out.updated, &out.ttl} {
		*n = int64(r.uvarint()) //nolint:gosec // written from an int64
	}
	out.properties = r.object(0)
	if r.bad || r.rest != "" {
		return nil, errRecord
	}
	return out, nil
}

// document shows a record to callers.
func (r *record) document(key Key, pii []string) Document {
	return Document{
		Key: key, Properties: r.properties, PII: pii, TTL: time.Duration(r.ttl) * time.Millisecond,
		Created: time.UnixMilli(r.created).UTC(), Updated: time.UnixMilli(r.updated).UTC(),
		Expires: time.UnixMilli(r.expires).UTC(), Etag: etagOf(r.version),
	}
}

// piiProperty is where the record of a namespace keeps its list.
const piiProperty = "pii"

// pii reads the list of personal properties of a namespace's record.
func (r *record) pii() []string {
	list, _ := r.properties[piiProperty].([]any)
	if len(list) == 0 {
		return nil
	}
	out := make([]string, 0, len(list))
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// namespace shows the record of a namespace to callers.
func (r *record) namespace(id string) Namespace {
	return Namespace{
		ID: id, TTL: time.Duration(r.ttl) * time.Millisecond, PII: r.pii(),
		Created: time.UnixMilli(r.created).UTC(), Etag: etagOf(r.version),
	}
}

func etagOf(version uint64) string { return strconv.FormatUint(version, 10) }

// damaged says where a record is that cannot be read.
func damaged(key Key, err error) error {
	if key.Namespace == "" {
		return fmt.Errorf("read namespace %q: %w", key.Session, err)
	}
	return fmt.Errorf("read a document of namespace %q: %w", key.Namespace, err)
}

// milliseconds rounds a time to live up, so that none becomes zero.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

// expiry is when what is written at now expires: after its own time to live, else
// the namespace's, else the ceiling, and never later than that.
func expiry(now, own, namespace int64) int64 {
	ceiling := Ceiling.Milliseconds()
	for _, ttl := range []int64{own, namespace} {
		if ttl > 0 {
			return now + min(ttl, ceiling)
		}
	}
	return now + ceiling
}
