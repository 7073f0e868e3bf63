package liveperson

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/rpc"
	"github.com/usherhq/usher/pipeline/event"
)

// Answerer decides a question, records the decision and carries it out, as
// NextActions does. said returns the question as the caller put it, by which
// retries under one request id are told. decision/server.Server is one.
type Answerer interface {
	Answer(ctx context.Context, q *decision.Request, said func() ([]byte, error)) (*event.Decision, error)
}

// BotSource knows through which skill a bot is reached, from memory. LivePerson's
// bots move a conversation to a bot by moving it to such a skill.
type BotSource interface {
	BotSkill(account, bot string) (skill string, ok bool)
}

// Deps are the parts behind the facade. Bots may be nil.
type Deps struct {
	Answers  Answerer
	Policies decision.PolicySource // for the names of policies
	Context  *contextstore.Store
	// Account is nil for an account that exists, else a NotFound fault.
	Account func(id string) error
	Bots    BotSource
}

// facade answers the routes. It is safe for concurrent use.
type facade struct{ deps Deps }

// New makes the routes, for rpc.Deps.Facades.
func New(deps Deps) rpc.Facade {
	f := &facade{deps: deps}
	out := rpc.Facade{Prefixes: []string{"/v1/account/", "/v2/"}, Token: tokenOf, Refuse: refuse}
	for _, r := range f.routes() {
		r.Scope, r.Handler = rpc.ScopeDecide, f.served(r.Account, r.Handler)
		out.Routes = append(out.Routes, r)
	}
	return out
}

// routes lists what is offered. Of two paths that fit a request the first is
// taken, so a property called "properties" is one of the namespace.
func (f *facade) routes() []rpc.Route {
	const (
		account   = "/v1/account/{account}"
		namespace = account + "/{namespace}"
		ours      = namespace + "/properties"
		session   = namespace + "/{session}/properties"
		sessions  = account + "/namespace/{namespace}/session"
		document  = "/v2/context/document/"
	)
	asked := inBody(func(b *nextActionRequest) text { return b.Account })
	written := inBody(func(b *documentRequest) text { return b.Account })
	return []rpc.Route{
		{Method: http.MethodGet, Path: account + "/next-actions", Account: inPath, Handler: f.nextActions, Effects: true},
		{Method: http.MethodPost, Path: account, Account: inPath, Handler: f.createNamespace},
		{Method: http.MethodGet, Path: account, Account: inPath, Handler: f.listNamespaces},
		{Method: http.MethodDelete, Path: namespace, Account: inPath, Handler: f.deleteNamespace},
		{Method: http.MethodPost, Path: sessions, Account: inPath, Handler: f.registerSession},
		{Method: http.MethodGet, Path: sessions, Account: inPath, Handler: f.listSessions},
		{Method: http.MethodGet, Path: namespace + "/session-ids", Account: inPath, Handler: f.sessionIDs},
		{Method: http.MethodGet, Path: namespace + "/session-properties", Account: inPath, Handler: f.sessionProperties},
		{Method: http.MethodPatch, Path: ours, Account: inPath, Handler: f.mergeProperties},
		{Method: http.MethodGet, Path: ours, Account: inPath, Handler: f.getProperties},
		{Method: http.MethodPut, Path: ours + "/{property}", Account: inPath, Handler: f.putProperty},
		{Method: http.MethodGet, Path: ours + "/{property}", Account: inPath, Handler: f.getProperty},
		{Method: http.MethodDelete, Path: ours + "/{property}", Account: inPath, Handler: f.deleteProperty},
		{Method: http.MethodPatch, Path: session, Account: inPath, Handler: f.mergeProperties},
		{Method: http.MethodGet, Path: session, Account: inPath, Handler: f.getProperties},
		{Method: http.MethodDelete, Path: session, Account: inPath, Handler: f.deleteSession},
		{Method: http.MethodPut, Path: session + "/{property}", Account: inPath, Handler: f.putProperty},
		{Method: http.MethodGet, Path: session + "/{property}", Account: inPath, Handler: f.getProperty},
		{Method: http.MethodDelete, Path: session + "/{property}", Account: inPath, Handler: f.deleteProperty},

		{Method: http.MethodPost, Path: "/v2/policy/nextaction", Account: asked, Handler: f.nextAction},
		{Method: http.MethodPost, Path: document + "create", Account: written, Handler: f.createDocument},
		{Method: http.MethodPatch, Path: document + "create", Account: written, Handler: f.createDocument},
		{Method: http.MethodPost, Path: document + "properties", Account: written, Handler: f.documentProperties},
		{Method: http.MethodDelete, Path: document + "property/delete", Account: written, Handler: f.deleteFromDocument},
		{Method: http.MethodDelete, Path: document + "delete", Account: written, Handler: f.deleteDocument},
		{Method: http.MethodGet, Path: document + "{account}/{namespace}", Account: inPath, Handler: f.getDocument},
		{Method: http.MethodGet, Path: document + "{account}/{namespace}/{session}", Account: inPath, Handler: f.getDocument},
	}
}

type handler = func(r *http.Request, body []byte) (*rpc.Answer, error)

// served checks what holds for every route, and sends the request's id back.
func (f *facade) served(account func(*http.Request, []byte) (string, error), next handler) handler {
	return func(r *http.Request, body []byte) (*rpc.Answer, error) {
		id, err := account(r, body)
		if err == nil {
			err = f.deps.Account(id)
		}
		if err != nil {
			return nil, err
		}
		a, err := next(r, body)
		if err != nil {
			return nil, err
		}
		echo(r, a)
		return a, nil
	}
}

func inPath(r *http.Request, _ []byte) (string, error) { return r.PathValue("account"), nil }

// inBody is the account of a v2 body, which the guard holds against the token's.
// It reads all of the body, so that what else is wrong with it is told at once.
func inBody[T any](account func(*T) text) func(*http.Request, []byte) (string, error) {
	return func(_ *http.Request, body []byte) (string, error) {
		b := new(T)
		if err := read(body, b); err != nil {
			return "", err
		}
		if account(b) == "" {
			return "", invalid("accountId", "is missing")
		}
		return string(account(b)), nil
	}
}

// text is a string that callers may send as a number: LivePerson's ids are both.
type text string

// UnmarshalJSON takes a string, a number or null.
func (t *text) UnmarshalJSON(data []byte) error {
	var number json.Number
	if err := json.Unmarshal(data, &number); err == nil && data[0] != '"' {
		*t = text(number)
		return nil
	}
	return json.Unmarshal(data, (*string)(t))
}

// read parses a body that must be there and names every field of the wrong type.
func read(body []byte, into any) error {
	err := json.Unmarshal(body, into)
	if err == nil {
		return nil
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return invalid("body", "is missing: it must be JSON")
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return invalid("body", "is no valid JSON at character %d", syntax.Offset)
	}
	var c fault.Check
	var members map[string]json.RawMessage
	if t := reflect.TypeOf(into).Elem(); t.Kind() == reflect.Struct && json.Unmarshal(body, &members) == nil {
		for member := range t.Fields() {
			name, f := member.Tag.Get("json"), reflect.New(member.Type)
			if raw, there := members[name]; there {
				misfit(&c, name, json.Unmarshal(raw, f.Interface()))
			}
		}
	}
	if c.Err("") == nil {
		misfit(&c, "body", err)
	}
	return c.Err("the request is not valid")
}

// misfit words what the decoder says of one value, nil for nothing.
func misfit(c *fault.Check, field string, err error) {
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case err == nil:
	case !ok:
		c.Add(field, "cannot be read")
	case strings.HasPrefix(wrong.Value, "number ") && wrong.Type.Kind() == reflect.Float64:
		c.Add(field, "holds a number that is out of range")
	default:
		c.Add(cmp.Or(wrong.Field, field), "must be %s, not %s", kindOf(wrong.Type), article(wrong.Value))
	}
}

// kindOf names a Go type as callers know it.
func kindOf(t reflect.Type) string {
	switch t.Kind() { //nolint:exhaustive // no body has fields of other kinds than these and texts
	case reflect.Map:
		return "a JSON object of properties"
	case reflect.Struct:
		return "a JSON object"
	case reflect.Slice:
		return "a list"
	case reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "a boolean"
	}
	return "a text"
}

// article puts the article before a kind of JSON value; a number comes with itself,
// which is not repeated.
func article(kind string) string {
	kind, _, _ = strings.Cut(kind, " ")
	switch kind {
	case "array", "object":
		return "an " + kind
	case "bool":
		return "a boolean"
	}
	return "a " + kind
}

func invalid(field, format string, args ...any) error {
	var c fault.Check
	c.Add(field, format, args...)
	return c.Err("the request is not valid")
}

// answer writes a value as JSON.
func answer(status int, value any) (*rpc.Answer, error) {
	body, err := encode(value)
	if err != nil {
		return nil, fmt.Errorf("encode an answer: %w", err)
	}
	return &rpc.Answer{Status: status, Header: http.Header{}, Body: body}, nil
}

// encode writes JSON as it is read: browsers that take it for HTML are kept off by
// its content type, so < stays <.
func encode(value any) ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

// done is the answer of what has nothing to say.
func done() (*rpc.Answer, error) {
	return &rpc.Answer{Status: http.StatusNoContent, Header: http.Header{}}, nil
}
