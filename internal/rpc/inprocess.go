package rpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The doors that a call can come through.
const (
	doorGRPC = "grpc"
	doorHTTP = "http"
)

type doorKey struct{}

// doorOf names the door of the call that ctx belongs to.
func doorOf(ctx context.Context) string {
	if door, ok := ctx.Value(doorKey{}).(string); ok {
		return door
	}
	return doorGRPC
}

// inProcess is a client connection without a wire: the gateway's generated code
// calls it as it would call a remote server. Registering the services with the
// gateway directly would be as fast, and would pass by every interceptor; a
// loopback connection would halve the speed.
type inProcess struct {
	methods map[string]inProcessMethod
	guard   grpc.UnaryServerInterceptor
}

type inProcessMethod struct {
	impl    any
	handler grpc.MethodHandler
	query   parameters
}

var _ grpc.ClientConnInterface = (*inProcess)(nil)

func newInProcess(services []Service, guard grpc.UnaryServerInterceptor) *inProcess {
	c := &inProcess{methods: map[string]inProcessMethod{}, guard: guard}
	for _, s := range services {
		for _, m := range s.Desc.Methods {
			query, _ := parametersOf(s.Desc.ServiceName, m.MethodName)
			c.methods[fullMethod(s.Desc, m.MethodName)] = inProcessMethod{impl: s.Impl, handler: m.Handler, query: query}
		}
	}
	return c
}

// Invoke calls the method through the guard. The request is handed over as it
// is, so the method owns it; reply shares the parts of the answer. Header and trailer
// options stay empty: no method sets any.
func (c *inProcess) Invoke(ctx context.Context, method string, args, reply any, _ ...grpc.CallOption) error {
	m, ok := c.methods[method]
	if !ok {
		return status.Errorf(codes.Unimplemented, "no method %s", method)
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	ctx = metadata.NewIncomingContext(context.WithValue(ctx, doorKey{}, doorHTTP), md)
	decode := func(any) error { return nil }
	resp, err := m.handler(m.impl, ctx, decode, func(ctx context.Context, _ any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		return c.guard(ctx, args, info, m.checked(next))
	})
	if err != nil {
		return err
	}
	from, okFrom := resp.(proto.Message)
	to, okTo := reply.(proto.Message)
	if !okFrom || !okTo {
		return status.Errorf(codes.Internal, "%s does not answer with a message", method)
	}
	handOver(to, from)
	return nil
}

// handOver gives what a method answered to the gateway, which writes it and changes
// nothing: a deep copy of a long explanation costs more than making it.
func handOver(to, from proto.Message) {
	source, target := from.ProtoReflect(), to.ProtoReflect()
	if source.Type() != target.Type() {
		proto.Merge(to, from)
		return
	}
	source.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		target.Set(f, v)
		return true
	})
	target.SetUnknown(source.GetUnknown())
}

// checked lets a call to the method only if its query makes sense; callers that
// the guard turns away do not learn more than that.
func (m inProcessMethod) checked(next grpc.UnaryHandler) grpc.UnaryHandler {
	return func(ctx context.Context, req any) (any, error) {
		query, asked := ctx.Value(queryKey{}).(string)
		if asked && m.query.request != nil {
			if err := m.query.check(query); err != nil {
				return nil, err
			}
		}
		return next(ctx, req)
	}
}

// NewStream says that there are no streams on this door.
func (c *inProcess) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "no streams over HTTP")
}

func fullMethod(d *grpc.ServiceDesc, method string) string { return "/" + d.ServiceName + "/" + method }
