package rpc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/usherhq/usher/internal/fault"
)

// parameters says what may stand in the query of a method's calls. The gateway
// ignores what it does not know, and with a body the whole query.
type parameters struct {
	request protoreflect.MessageDescriptor
	// taken are the fields that the path or the body brings; "*" is all.
	taken []string
}

// parametersOf reads the HTTP rule of a method. Further bindings of a method
// have the same fields in their paths and bodies.
func parametersOf(service, method string) (parameters, bool) {
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service + "." + method))
	if err != nil {
		return parameters{}, false
	}
	m, ok := d.(protoreflect.MethodDescriptor)
	if !ok {
		return parameters{}, false
	}
	rule, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	p := parameters{request: m.Input(), taken: []string{rule.GetBody()}}
	path := rule.GetGet() + rule.GetPost() + rule.GetPut() + rule.GetPatch() + rule.GetDelete()
	for _, part := range strings.Split(path, "{")[1:] {
		name, _, _ := strings.Cut(part, "=")
		name, _, _ = strings.Cut(name, ".")
		p.taken = append(p.taken, name)
	}
	return p, true
}

// check names every parameter that the method does not take from the query.
func (p parameters) check(query string) error {
	var c fault.Check
	p.walk(&c, query)
	return c.Err("the query is not valid")
}

// walk adds the faults of the query, and of each value that cannot be read.
func (p parameters) walk(c *fault.Check, query string) {
	values, err := url.ParseQuery(query)
	if err != nil {
		c.Add("query", "is not well formed")
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		f := p.request.Fields().ByTextName(name)
		if f == nil {
			f = p.request.Fields().ByJSONName(name)
		}
		switch {
		case f == nil:
			c.Add(name, "unknown query parameter")
		case slices.Contains(p.taken, string(f.Name())):
			c.Add(name, "is no query parameter of this call: it is taken from the path or the body")
		case slices.Contains(p.taken, "*"):
			c.Add(name, "is no query parameter of this call: send it in the body")
		default:
			p.value(c, name, values[name])
		}
	}
}

// value adds the fault of values that the gateway cannot read: it tells the first
// of a query alone.
func (p parameters) value(c *fault.Check, name string, values []string) {
	t := typeOf(p.request)
	if t == nil {
		return
	}
	err := runtime.PopulateQueryParameters(t.New().Interface(), url.Values{name: values}, &utilities.DoubleArray{})
	if err != nil {
		for _, v := range splitBodyError(err.Error()) {
			c.Add(name, "%s", v.Description)
		}
	}
}

// queryFaults are the faults of the query of a call that failed before its method
// was asked.
func queryFaults(ctx context.Context, r *http.Request) []fault.Violation {
	query, _ := r.Context().Value(queryKey{}).(string)
	full, _ := runtime.RPCMethod(ctx)
	service, method, _ := strings.Cut(strings.TrimPrefix(full, "/"), "/")
	p, ok := parametersOf(service, method)
	if !ok || query == "" {
		return nil
	}
	if e, bad := errors.AsType[*fault.Error](p.check(query)); bad {
		return e.Violations
	}
	return nil
}

type queryKey struct{}

// withQuery keeps the query as the caller sent it for the method to be checked
// against, which is only known once the gateway has found it.
func withQuery(r *http.Request) *http.Request {
	if r.URL.RawQuery == "" {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), queryKey{}, r.URL.RawQuery))
}
