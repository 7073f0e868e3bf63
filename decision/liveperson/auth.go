package liveperson

import (
	"net/http"
	"strings"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/rpc"
)

const (
	keyHeader     = "maven-api-key"
	requestHeader = "X-Request-Id"
	// tokenInQuery is the reason of a token that came where logs keep it.
	tokenInQuery = "TOKEN_IN_QUERY"
)

// tokenOf finds the key: maven-api-key as v1 sends it, else a bearer token.
func tokenOf(r *http.Request) (string, error) {
	if r.URL.Query().Has("access_token") {
		return "", fault.New(fault.NoIdentity, tokenInQuery,
			"a token in the query ends up in logs and is not taken: send the header Authorization: Bearer <token>, and regenerate this one")
	}
	if key := strings.TrimSpace(r.Header.Get(keyHeader)); key != "" {
		return key, nil
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); token != "" && strings.EqualFold(scheme, "bearer") {
		return token, nil
	}
	return "", fault.New(fault.NoIdentity, "NO_TOKEN", "send the header maven-api-key: <token> or Authorization: Bearer <token>")
}

// failure is the body of an error. Toolbelts read message alone.
type failure struct {
	Status    int     `json:"statusCode"`
	Code      string  `json:"errorCode"`
	Message   string  `json:"message"`
	Fields    []field `json:"fields,omitempty"`
	RequestID string  `json:"requestId,omitempty"`
}

type field struct {
	Field       string `json:"field"`
	Description string `json:"description"`
}

// refuse words an error as LivePerson's callers know it. A key that is not known
// is 403, which is what its toolbelt calls an invalid key; no key at all is 401.
func refuse(r *http.Request, p *rpc.Problem) *rpc.Answer {
	body := failure{Status: p.Status, Code: p.Reason, Message: p.Message, RequestID: r.Header.Get(requestHeader)}
	if body.Code == "" {
		body.Code = p.Code
	}
	for _, v := range p.Violations {
		body.Fields = append(body.Fields, field{v.Field, v.Description})
	}
	if p.Status == http.StatusUnauthorized && p.Reason != tokenInQuery && r.Header.Get(keyHeader) != "" {
		body.Status = http.StatusForbidden
	}
	text, err := encode(body)
	if err != nil {
		text = []byte(`{"message":"the error cannot be shown"}`)
	}
	a := &rpc.Answer{Status: body.Status, Header: http.Header{}, Body: text}
	if body.Status == http.StatusUnauthorized {
		a.Header.Set("Www-Authenticate", `Bearer realm="usher"`)
	}
	echo(r, a)
	return a
}

// echo sends the caller's request id back.
func echo(r *http.Request, a *rpc.Answer) {
	if id := r.Header.Get(requestHeader); id != "" {
		a.Header.Set(requestHeader, id)
	}
}
