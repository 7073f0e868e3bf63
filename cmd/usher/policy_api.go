package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/usherhq/usher/cmd/usher/app"
	"github.com/usherhq/usher/cmd/usher/config"
	"github.com/usherhq/usher/internal/fault"
)

// reach is how a command finds a running server's REST door and its account.
type reach struct {
	server, token, account, dataDir string
}

func (r *reach) bind(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&r.server, "server", "", "address of the REST API; also "+config.ServerVariable+"; else that of the usher running in --data-dir")
	f.StringVar(&r.token, "token", "", "API token; also "+config.TokenVariable)
	f.StringVar(&r.account, "account", "", "account; also "+config.AccountVariable+"; default when empty")
	f.StringVar(&r.dataDir, "data-dir", config.Default().DataDir, "data folder of a running usher, to find its address")
}

// api is a running server's REST door.
type api struct {
	base, token, account string
}

// api completes the flags from the environment and the data folder.
func (w *world) api(r reach) (*api, error) {
	a := &api{base: r.server, token: r.token, account: r.account}
	for _, v := range []struct {
		at   *string
		name string
	}{{&a.base, config.ServerVariable}, {&a.token, config.TokenVariable}, {&a.account, config.AccountVariable}} {
		if *v.at == "" {
			*v.at = w.variable(v.name)
		}
	}
	if a.account == "" {
		a.account = "default"
	}
	if a.base == "" {
		running, err := app.FindRunning(r.dataDir)
		if err != nil {
			return nil, err
		}
		if running == nil || running.Address.HTTP == "" {
			return nil, fault.New(fault.Precondition, "NOT_RUNNING",
				"no usher is running in the data folder %q; name it with --data-dir, or a server with --server", r.dataDir)
		}
		a.base = running.Address.HTTP
	}
	if !strings.Contains(a.base, "://") {
		a.base = "http://" + a.base
	}
	a.base = strings.TrimRight(a.base, "/")
	if a.token == "" {
		return nil, &usageError{fmt.Errorf("a token is needed: give --token, or set %s; \"usher token create\" makes one", config.TokenVariable)}
	}
	return a, nil
}

// variable reads one variable of the environment.
func (w *world) variable(name string) string {
	for _, e := range w.environ {
		if key, value, _ := strings.Cut(e, "="); key == name {
			return value
		}
	}
	return ""
}

// path is the path of something of the account.
func (a *api) path(rest string) string { return "/v1/accounts/" + url.PathEscape(a.account) + rest }

// call makes one call. in and out may be nil; an answer's unknown fields are
// ignored, so that a newer server is understood. The error is a *fault.Error with
// all that the server said.
func (a *api) call(ctx context.Context, method, path string, in, out proto.Message) error {
	var body io.Reader = http.NoBody
	if in != nil {
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(in)
		if err != nil {
			return fmt.Errorf("write the request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return &usageError{fmt.Errorf("--server %q: %w", a.base, err)}
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fault.New(fault.Unavailable, "UNREACHABLE", "the server does not answer: %v", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return refusal(resp.StatusCode, text)
	}
	if out == nil {
		return nil
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, out); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}

// refusal turns a google.rpc.Status into the fault that it was made of.
func refusal(code int, text []byte) error {
	var st struct {
		Message string `json:"message"`
		Details []struct {
			Reason     string `json:"reason"`
			Violations []struct {
				Field       string `json:"field"`
				Description string `json:"description"`
			} `json:"field_violations"`
		} `json:"details"`
	}
	if err := json.Unmarshal(text, &st); err != nil || st.Message == "" {
		st.Message = fmt.Sprintf("the server answered %d: %s", code, bytes.TrimSpace(text))
	}
	e := fault.New(kindOf(code), "", "%s", st.Message)
	for _, d := range st.Details {
		if d.Reason != "" {
			e.Reason = d.Reason
		}
		for _, v := range d.Violations {
			e.Violations = append(e.Violations, fault.Violation{Field: v.Field, Description: v.Description})
		}
	}
	if len(e.Violations) > 0 {
		// The message repeats the first of them.
		e.Message, _, _ = strings.Cut(e.Message, ": ")
	}
	return e
}

func kindOf(code int) fault.Kind {
	switch code {
	case http.StatusBadRequest:
		return fault.Invalid
	case http.StatusUnauthorized:
		return fault.NoIdentity
	case http.StatusForbidden:
		return fault.Denied
	case http.StatusNotFound:
		return fault.NotFound
	case http.StatusConflict:
		return fault.Conflict
	case http.StatusTooManyRequests:
		return fault.Exhausted
	case http.StatusServiceUnavailable:
		return fault.Unavailable
	}
	return fault.Internal
}
