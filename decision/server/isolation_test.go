package server_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/usherhq/usher/decision/token"
	"github.com/usherhq/usher/internal/rpc"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// seesItsOwn are the methods whose requests name no account, because they answer
// only what the caller may see. Each has a test of its own.
var seesItsOwn = []string{"ListAccounts"}

// method is one method of the contract.
type method struct {
	service, name string
	in, out       protoreflect.MessageType
}

// methods lists every method that the server offers, from the contract itself.
func methods(t *testing.T, f *fixture) []method {
	t.Helper()
	var out []method
	for _, s := range f.server.Services() {
		for _, m := range s.Desc.Methods {
			d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(s.Desc.ServiceName + "." + m.MethodName))
			must(t, err)
			md, _ := d.(protoreflect.MethodDescriptor)
			in, err := protoregistry.GlobalTypes.FindMessageByName(md.Input().FullName())
			must(t, err)
			answer, err := protoregistry.GlobalTypes.FindMessageByName(md.Output().FullName())
			must(t, err)
			out = append(out, method{s.Desc.ServiceName, m.MethodName, in, answer})
		}
	}
	if len(out) < 60 {
		t.Fatalf("the contract has %d methods, they were not all found", len(out))
	}
	return out
}

// aim points every name in a request at an account: names in the request itself
// at top, those of resources in lists at nested.
func aim(m protoreflect.Message, top, nested string) (aimed, lists bool) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.Kind() == protoreflect.StringKind && !f.IsList() && f.Name() == "parent":
			m.Set(f, protoreflect.ValueOfString("accounts/"+top))
			aimed = true
		case f.Kind() == protoreflect.StringKind && !f.IsList() && f.Name() == "name":
			m.Set(f, protoreflect.ValueOfString("accounts/"+top+"/things/x"))
			aimed = true
		case f.IsMap() || f.Message() == nil || !strings.HasPrefix(string(f.Message().FullName()), "usher."):
		case f.IsList():
			item := m.Mutable(f).List().AppendMutable().Message()
			if named, _ := aim(item, nested, nested); named {
				lists = true
			}
		default:
			named, more := aim(m.Mutable(f).Message(), top, nested)
			aimed, lists = aimed || named, lists || more
		}
	}
	return aimed, lists
}

func (f *fixture) invoke(t *testing.T, token string, m method, req protoreflect.Message) codes.Code {
	t.Helper()
	err := f.conn.Invoke(as(t, token), "/"+m.service+"/"+m.name, req.Interface(), m.out.New().Interface())
	return status.Code(err)
}

// TestNoMethodReachesAnotherAccount walks the whole contract: with every right in
// one account, nothing of another can be read or changed. Whoever adds a method
// without a rule, or with one that does not find the account, is told here.
func TestNoMethodReachesAnotherAccount(t *testing.T) {
	f := start(t)
	f.rest(t, "POST", "/v1/accounts", `{"name":"accounts/shop"}`, 200)
	mine, _, err := f.tokens.Create(t.Context(), token.Spec{Account: "default", Scopes: rpc.ScopeAdmin}, "test")
	must(t, err)
	before := f.config.State().Revision()
	for _, m := range methods(t, f) {
		if slices.Contains(seesItsOwn, m.name) {
			continue
		}
		req := m.in.New()
		aimed, _ := aim(req, "shop", "shop")
		if code := f.invoke(t, mine, m, req); code != codes.PermissionDenied {
			t.Errorf("%s of another account = %v, want PermissionDenied", m.name, code)
		}
		if !aimed && m.name != "CreateAccount" {
			t.Errorf("%s names no account: it needs a place in seesItsOwn and a test", m.name)
		}
		// One's own account on top must not smuggle in what belongs to another.
		req = m.in.New()
		if _, lists := aim(req, "default", "shop"); lists && !onlyOutcomes(req) {
			if code := f.invoke(t, mine, m, req); code == codes.OK {
				t.Errorf("%s takes resources of another account under one's own", m.name)
			}
		}
	}
	if after := f.config.State().Revision(); after != before {
		t.Errorf("the config log went from %d to %d: a refused call changed something", before, after)
	}
}

// onlyOutcomes tells requests apart whose lists hold no resources.
func onlyOutcomes(req protoreflect.Message) bool {
	_, ok := req.Interface().(*usherv1.ReportOutcomesRequest)
	return ok
}

// TestListAccountsShowsItsOwn: the one list that spans accounts is cut.
func TestListAccountsShowsItsOwn(t *testing.T) {
	f := start(t)
	f.rest(t, "POST", "/v1/accounts", `{"name":"accounts/shop"}`, 200)
	mine, _, err := f.tokens.Create(t.Context(), token.Spec{Account: "shop", Scopes: rpc.ScopeRead}, "test")
	must(t, err)
	resp, err := usherv1.NewControlServiceClient(f.conn).ListAccounts(as(t, mine), &usherv1.ListAccountsRequest{})
	must(t, err)
	if len(resp.GetAccounts()) != 1 || resp.GetAccounts()[0].GetName() != "accounts/shop" {
		t.Errorf("a token of shop sees %v", resp)
	}
}

// TestAScopeIsNeeded: a token with no right but to decide changes nothing and
// reads nothing of its own account.
func TestAScopeIsNeeded(t *testing.T) {
	f := start(t)
	plain, _, err := f.tokens.Create(t.Context(), token.Spec{Account: "default", Scopes: rpc.ScopeDecide}, "test")
	must(t, err)
	open := map[string]bool{}
	for _, s := range f.server.Services() {
		for name, rule := range s.Rules {
			open[name] = rule.Scope == rpc.ScopeDecide
		}
	}
	for _, m := range methods(t, f) {
		req := m.in.New()
		aim(req, "default", "default")
		if code := f.invoke(t, plain, m, req); (code == codes.PermissionDenied) == open[m.name] {
			t.Errorf("%s with the right to decide = %v, its rule says open=%t", m.name, code, open[m.name])
		}
	}
}
