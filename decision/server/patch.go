package server

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/usherhq/usher/internal/fault"
)

// patched returns a copy of current with the fields that the mask names taken
// from given, absent ones cleared. Without a mask the populated fields of given
// are taken; "*" takes all. What a caller cannot set (the name, the etag, output
// fields) stays as it is, named or not. Every unknown path is a violation.
func patched[M proto.Message](current, given M, mask *fieldmaskpb.FieldMask) (M, error) {
	out, _ := proto.Clone(current).(M)
	to, from := out.ProtoReflect(), given.ProtoReflect()
	var c fault.Check
	for _, f := range masked(&c, from, mask.GetPaths()) {
		switch {
		case !settable(f):
		case from.Has(f):
			to.Set(f, from.Get(f))
		default:
			to.Clear(f)
		}
	}
	patchParts(&c, to, from, mask.GetPaths())
	return out, c.Err("the update mask is not valid")
}

// masked lists the fields that a mask names.
func masked(c *fault.Check, m protoreflect.Message, paths []string) []protoreflect.FieldDescriptor {
	var out []protoreflect.FieldDescriptor
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if slices.Contains(paths, "*") || len(paths) == 0 && m.Has(f) {
			out = append(out, f)
		}
	}
	for _, path := range paths {
		if path == "*" || path == "" { // "" is what the gateway makes of the body {}
			continue
		}
		name, _, deep := strings.Cut(path, ".")
		f := fieldOf(m.Descriptor(), name)
		if f != nil && deep && isPart(f) {
			continue // see patchParts
		}
		if f == nil || deep && !isDocument(f) {
			c.Add("update_mask", "%q is no field that can be set apart", path)
			continue
		}
		out = append(out, f)
	}
	return out
}

// fieldOf finds a field by either of its names.
func fieldOf(m protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if f := m.Fields().ByTextName(name); f != nil {
		return f
	}
	return m.Fields().ByJSONName(name)
}

// isDocument says whether a field holds free JSON, which is only set whole: the
// gateway names what lies below it all the same.
func isDocument(f protoreflect.FieldDescriptor) bool {
	return f.Message() != nil && (f.Message().FullName() == "google.protobuf.Struct" || f.Message().FullName() == "google.protobuf.Value")
}

// isPart says whether a field is a message of the contract inside of a resource,
// whose fields can be set one by one.
func isPart(f protoreflect.FieldDescriptor) bool {
	return f.Message() != nil && !f.IsList() && !f.IsMap() && strings.HasPrefix(string(f.Message().FullName()), "usher.")
}

// patchParts changes single fields of the messages inside of a resource.
func patchParts(c *fault.Check, to, from protoreflect.Message, paths []string) {
	for _, path := range paths {
		name, rest, deep := strings.Cut(path, ".")
		f := fieldOf(to.Descriptor(), name)
		if !deep || f == nil || !isPart(f) {
			continue
		}
		inner := to.Mutable(f).Message()
		for _, field := range masked(c, from.Get(f).Message(), []string{rest}) {
			if given := from.Get(f).Message(); given.Has(field) {
				inner.Set(field, given.Get(field))
			} else {
				inner.Clear(field)
			}
		}
	}
}

// settable says whether an update may change a field: names stay, and the others
// are for the server to say.
func settable(f protoreflect.FieldDescriptor) bool {
	switch f.Name() {
	case "name", "account_id", "etag", "position", "revision", "version", "update_time",
		"author", "change_reason", "warnings", "base_revision", "stale":
		return false
	}
	return true
}

// edit reads a resource, changes it and writes it over the revision that was
// read. With an etag that must be the one read; without, losing against another
// writer means to read again, so that what the other changed is kept.
func edit[T any](etag int64, read func() (T, int64, error), write func(T, int64) (T, error)) (T, error) {
	for try := 0; ; try++ {
		current, revision, err := read()
		if err != nil {
			return current, err
		}
		if etag != 0 && etag != revision {
			return current, changedMeanwhile(revision)
		}
		stored, err := write(current, revision)
		kind := fault.KindOf(err)
		if etag != 0 || try == 5 || (kind != fault.Conflict && kind != fault.Exists) {
			return stored, err
		}
	}
}

func changedMeanwhile(revision int64) error {
	e := fault.New(fault.Conflict, "ABORTED", "it was changed meanwhile: read it again and retry")
	e.Metadata = map[string]string{"etag": etagOf(revision)}
	return e
}
