package server

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usherhq/usher/decision/token"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/rpc"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// tokenService issues the keys of an account. Tokens of the installation are not
// to be had here: who reaches the config log makes them.
type tokenService struct {
	usherv1.UnimplementedTokenServiceServer
	*Server
}

func tokenRules() map[string]rpc.Rule {
	change := rpc.Rule{Scope: rpc.ScopeAdmin, Account: byName}
	return map[string]rpc.Rule{
		"ListTokens":      {Scope: rpc.ScopeAdmin, Account: byParent},
		"CreateToken":     {Scope: rpc.ScopeAdmin, Account: byParent},
		"RegenerateToken": change,
		"DeleteToken":     change,
	}
}

// ListTokens lists the account's tokens, never their secrets.
func (s *tokenService) ListTokens(_ context.Context, r *usherv1.ListTokensRequest) (*usherv1.ListTokensResponse, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err == nil {
		err = s.account(account)
	}
	if err != nil {
		return nil, err
	}
	part, next, err := page(s.deps.Tokens.List(account), r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &usherv1.ListTokensResponse{NextPageToken: next}
	for _, info := range part {
		resp.Tokens = append(resp.Tokens, tokenTo(info, ""))
	}
	return resp, nil
}

// CreateToken makes a token and answers its secret, this once.
func (s *tokenService) CreateToken(ctx context.Context, r *usherv1.CreateTokenRequest) (*usherv1.CreateTokenResponse, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err == nil {
		err = s.account(account)
	}
	if err != nil {
		return nil, err
	}
	spec, err := s.specFrom(account, r.GetToken())
	if err != nil {
		return nil, err
	}
	if err := mayGive(ctx, spec.Scopes); err != nil {
		return nil, err
	}
	plain, info, err := s.deps.Tokens.Create(ctx, spec, author(ctx, "").Name)
	if err != nil {
		return nil, err
	}
	return &usherv1.CreateTokenResponse{Token: tokenTo(info, plain)}, nil
}

// RegenerateToken gives a token another secret and answers it, this once.
func (s *tokenService) RegenerateToken(ctx context.Context, r *usherv1.RegenerateTokenRequest) (*usherv1.RegenerateTokenResponse, error) {
	info, err := s.tokenOf(r.GetName())
	if err != nil {
		return nil, err
	}
	if err := mayGive(ctx, info.Scopes); err != nil {
		return nil, err
	}
	plain, info, err := s.deps.Tokens.Regenerate(ctx, info.ID, author(ctx, "").Name, "regenerated")
	if err != nil {
		return nil, err
	}
	return &usherv1.RegenerateTokenResponse{Token: tokenTo(info, plain)}, nil
}

// DeleteToken ends a token.
func (s *tokenService) DeleteToken(ctx context.Context, r *usherv1.DeleteTokenRequest) (*usherv1.DeleteTokenResponse, error) {
	info, err := s.tokenOf(r.GetName())
	if err != nil {
		return nil, err
	}
	if err := s.deps.Tokens.Revoke(ctx, info.ID, author(ctx, "").Name, r.GetReason()); err != nil {
		return nil, err
	}
	return &usherv1.DeleteTokenResponse{}, nil
}

// tokenOf finds a token of the account that its name names. Ids are unique in the
// installation, so one of another account must read as missing here.
func (s *tokenService) tokenOf(name string) (token.Info, error) {
	account, id, err := childName(name, "tokens")
	if err != nil {
		return token.Info{}, err
	}
	info, ok := s.deps.Tokens.Get(id)
	if !ok || info.Account != account {
		return token.Info{}, fault.New(fault.NotFound, "TOKEN_NOT_FOUND", "there is no token %q", id)
	}
	return info, nil
}

// mayGive refuses rights that the caller does not have.
func mayGive(ctx context.Context, scopes rpc.Scope) error {
	who := rpc.Caller(ctx)
	if who == nil || !who.Scopes.Has(scopes) {
		return fault.New(fault.Denied, "SCOPE_MISSING", "a token cannot give the scopes %q, which it does not have", scopes)
	}
	return nil
}

// specFrom reads what a token is to be and names every fault.
func (s *tokenService) specFrom(account string, t *usherv1.Token) (token.Spec, error) {
	var c fault.Check
	spec := token.Spec{Name: t.GetDescription(), Account: account}
	if t.GetName() != "" {
		c.Add("token.name", "must be empty: the id is made up")
	}
	for i, name := range t.GetScopes() {
		scope, ok := rpc.ParseScope(name)
		if !ok {
			c.Add(fmt.Sprintf("token.scopes[%d]", i), "%q must be one of decide, ingest, read, admin", name)
		}
		spec.Scopes |= scope
	}
	if len(t.GetScopes()) == 0 {
		c.Add("token.scopes", "must name at least one of decide, ingest, read, admin")
	}
	if at := t.GetExpireTime(); at != nil {
		now := s.deps.Now()
		if spec.Expires = timeOf(&c, "token.expire_time", at, now.Add(time.Hour)); !spec.Expires.After(now) {
			c.Add("token.expire_time", "must lie in the future")
		}
	}
	return spec, c.Err("the token is not valid")
}

// tokenTo shows a token; plain is its secret, empty unless it was made just now.
func tokenTo(info token.Info, plain string) *usherv1.Token {
	out := &usherv1.Token{
		Name:        "accounts/" + info.Account + "/tokens/" + info.ID,
		Description: info.Name, CreateTime: timestamppb.New(info.Created), Secret: plain,
	}
	for _, one := range []rpc.Scope{rpc.ScopeDecide, rpc.ScopeIngest, rpc.ScopeRead, rpc.ScopeAdmin} {
		if info.Scopes&one != 0 {
			out.Scopes = append(out.Scopes, one.String())
		}
	}
	if !info.Expires.IsZero() {
		out.ExpireTime = timestamppb.New(info.Expires)
	}
	return out
}
