package server

import (
	"context"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/usherhq/usher/decision/catalog"
	"github.com/usherhq/usher/internal/fault"
)

// collection serves the resources of one kind of the catalogue, which all obey
// the same rules: T is the catalogue's struct, M the contract's message.
type collection[T any, M resource] struct {
	server   *Server
	plural   string // as in names
	shelf    *catalog.Shelf[T]
	empty    M
	to       func(account string, v *T) M
	from     func(id string, m M) (T, error)
	revision func(*T) int64
	// all and read are there when the account has more than the shelf keeps.
	all  func(account string) []T
	read func(account, id string) (T, error)
}

// resource is a message with a name and an etag.
type resource interface {
	proto.Message
	GetName() string
	GetEtag() string
}

// paged is a request for a page.
type paged interface {
	GetParent() string
	GetPageSize() int32
	GetPageToken() string
}

// ready tells whether the account exists, in a process that has a catalogue.
func (k *collection[T, M]) ready(account string) error {
	if k.shelf == nil {
		return noCatalogue()
	}
	return k.server.account(account)
}

func (k *collection[T, M]) list(r paged) ([]M, string, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err == nil {
		err = k.ready(account)
	}
	if err != nil {
		return nil, "", err
	}
	list := k.shelf.List
	if k.all != nil {
		list = k.all
	}
	part, next, err := page(list(account), r.GetPageSize(), r.GetPageToken())
	out := make([]M, len(part))
	for i := range part {
		out[i] = k.to(account, &part[i])
	}
	return out, next, err
}

func (k *collection[T, M]) get(name string) (none M, err error) {
	account, id, err := childName(name, k.plural)
	if err == nil {
		err = k.ready(account)
	}
	if err != nil {
		return none, err
	}
	v, err := k.find(account, id)
	if err != nil {
		return none, err
	}
	return k.to(account, &v), nil
}

func (k *collection[T, M]) find(account, id string) (T, error) {
	if k.read != nil {
		return k.read(account, id)
	}
	return k.shelf.Get(account, id)
}

func (k *collection[T, M]) create(ctx context.Context, parent, id string, given M) (none M, err error) {
	account, err := parentAccount("parent", parent)
	if err == nil {
		err = k.ready(account)
	}
	if err != nil {
		return none, err
	}
	if id, err = newName(account, k.plural, id, given.GetName()); err != nil {
		return none, err
	}
	if id == "" {
		return none, invalid("name", "is missing: the id of the new resource")
	}
	return k.put(ctx, account, id, given, 0)
}

func (k *collection[T, M]) put(ctx context.Context, account, id string, m M, base int64) (none M, err error) {
	v, err := k.from(id, m)
	if err != nil {
		return none, err
	}
	stored, err := k.shelf.Put(ctx, account, v, base, author(ctx, ""))
	if err != nil {
		return none, err
	}
	return k.to(account, &stored), nil
}

// update changes what the mask names. The mask * replaces the resource, and
// creates it when there is none.
func (k *collection[T, M]) update(ctx context.Context, given M, mask *fieldmaskpb.FieldMask) (none M, err error) {
	account, id, err := childName(given.GetName(), k.plural)
	if err == nil {
		err = k.ready(account)
	}
	if err != nil {
		return none, err
	}
	etag, err := parseEtag(given.GetEtag())
	if err != nil {
		return none, err
	}
	return edit(etag, func() (M, int64, error) {
		v, err := k.find(account, id)
		if fault.KindOf(err) == fault.NotFound && etag == 0 && slices.Contains(mask.GetPaths(), "*") {
			return k.empty, 0, nil
		}
		if err != nil {
			return none, 0, err
		}
		return k.to(account, &v), k.revision(&v), nil
	}, func(current M, revision int64) (M, error) {
		next, err := patched(current, given, mask)
		if err != nil {
			return none, err
		}
		return k.put(ctx, account, id, next, revision)
	})
}

func (k *collection[T, M]) remove(ctx context.Context, r guarded, reason string) error {
	account, id, err := childName(r.GetName(), k.plural)
	if err == nil {
		err = k.ready(account)
	}
	if err != nil {
		return err
	}
	etag, err := parseEtag(r.GetEtag())
	if err != nil {
		return err
	}
	if k.read != nil { // what cannot be deleted is told apart from what is not there
		if _, err := k.read(account, id); err != nil {
			return err
		}
	}
	return k.shelf.Delete(ctx, account, id, etag, author(ctx, reason))
}

// itemOf is the resource inside of a request, nil when it carries none.
func itemOf(req any) protoreflect.Message {
	m, ok := req.(proto.Message)
	if !ok {
		return nil
	}
	r := m.ProtoReflect()
	f := r.Descriptor().Fields().ByNumber(1)
	if f == nil || f.Message() == nil || f.IsList() || !r.Has(f) {
		return nil
	}
	return r.Mutable(f).Message()
}

// byItem tells the guard which account a request that carries a resource is about.
func byItem(req any) (string, error) {
	item := itemOf(req)
	if item == nil {
		return "", nil
	}
	return accountOf("name", item.Get(item.Descriptor().Fields().ByName("name")).String())
}

// matchItem takes the etag of the header If-Match for that of the request, or of
// the resource in it.
func matchItem(req any, etag string) {
	at := itemOf(req)
	if m, ok := req.(proto.Message); at == nil && ok {
		at = m.ProtoReflect()
	}
	if at == nil {
		return
	}
	if f := at.Descriptor().Fields().ByName("etag"); f != nil && !at.Has(f) {
		at.Set(f, protoreflect.ValueOfString(etag))
	}
}
