package server_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usherhq/usher/decision/token"
	"github.com/usherhq/usher/internal/rpc"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// TestTokensOfAnAccount: row 60. A key is made, used, regenerated and deleted;
// each former secret is refused at once.
func TestTokensOfAnAccount(t *testing.T) {
	f := start(t)
	made := f.rest(t, "POST", "/v1/accounts/default/tokens", `{"description":"web bot","scopes":["decide","ingest"],"expire_time":"2999-01-02T03:04:05Z"}`, 200)
	name, secret := made["name"].(string), made["secret"].(string)
	if !strings.HasPrefix(name, "accounts/default/tokens/") || made["expire_time"] != "2999-01-02T03:04:05Z" {
		t.Fatalf("created = %v", made)
	}
	ask := "/v1/accounts/default/nextActions"
	f.restAs(t, secret, "POST", ask, `{}`, 200)
	f.restAs(t, secret, "GET", "/v1/accounts/default/tokens", "", 403)
	again := f.rest(t, "POST", "/v1/"+name+":regenerate", `{}`, 200)
	if again["name"] != name || again["secret"] == secret || again["secret"] == "" {
		t.Errorf("regenerated = %v", again)
	}
	f.restAs(t, secret, "POST", ask, `{}`, 401)
	f.restAs(t, again["secret"].(string), "POST", ask, `{}`, 200)
	list := f.rest(t, "GET", "/v1/accounts/default/tokens", "", 200)["tokens"].([]any)
	if len(list) != 1 {
		t.Fatalf("listed = %v", list)
	}
	if one := list[0].(map[string]any); one["name"] != name || one["secret"] != "" || one["description"] != "web bot" || len(one["scopes"].([]any)) != 2 {
		t.Errorf("listed = %v", one)
	}
	f.rest(t, "DELETE", "/v1/"+name+"?reason=leaked", "", 200)
	f.restAs(t, again["secret"].(string), "POST", ask, `{}`, 401)
	f.rest(t, "DELETE", "/v1/"+name, "", 404)
	f.rest(t, "POST", "/v1/"+name+":regenerate", `{}`, 404)
}

// TestATokenOfAnotherAccountIsMissing: ids are unique in the installation, and
// still reach nothing outside of their account.
func TestATokenOfAnotherAccountIsMissing(t *testing.T) {
	f := start(t)
	f.rest(t, "POST", "/v1/accounts", `{"name":"accounts/shop"}`, 200)
	theirs := f.rest(t, "POST", "/v1/accounts/shop/tokens", `{"scopes":["admin"]}`, 200)
	mine := f.rest(t, "POST", "/v1/accounts/default/tokens", `{"scopes":["admin"]}`, 200)["secret"].(string)
	id := strings.TrimPrefix(theirs["name"].(string), "accounts/shop/tokens/")
	client := usherv1.NewTokenServiceClient(f.conn)
	for account, want := range map[string]codes.Code{"default": codes.NotFound, "shop": codes.PermissionDenied} {
		name := "accounts/" + account + "/tokens/" + id
		if _, err := client.RegenerateToken(as(t, mine), &usherv1.RegenerateTokenRequest{Name: name}); status.Code(err) != want {
			t.Errorf("regenerate %s = %v, want %v", name, err, want)
		}
		if _, err := client.DeleteToken(as(t, mine), &usherv1.DeleteTokenRequest{Name: name}); status.Code(err) != want {
			t.Errorf("delete %s = %v, want %v", name, err, want)
		}
	}
	// The installation's tokens are in no account.
	if _, err := client.DeleteToken(as(t, mine), &usherv1.DeleteTokenRequest{Name: "accounts/default/tokens/bootstrapped"}); status.Code(err) != codes.NotFound {
		t.Errorf("delete the installation's = %v", err)
	}
	f.restAs(t, theirs["secret"].(string), "GET", "/v1/accounts/shop", "", 200)
	list, err := client.ListTokens(as(t, mine), &usherv1.ListTokensRequest{Parent: "accounts/default"})
	if err != nil || len(list.GetTokens()) != 1 {
		t.Errorf("listed = %v, %v", list, err)
	}
}

func TestATokenGivesOnlyWhatItsMakerHas(t *testing.T) {
	f := start(t)
	reader, _, err := f.tokens.Create(t.Context(), token.Spec{Account: "default", Scopes: rpc.ScopeRead | rpc.ScopeDecide}, "test")
	must(t, err)
	f.restAs(t, reader, "POST", "/v1/accounts/default/tokens", `{"scopes":["admin"]}`, 403)
	f.restAs(t, reader, "POST", "/v1/accounts/default/tokens", `{"scopes":["read"]}`, 403)
	bad := f.rest(t, "POST", "/v1/accounts/default/tokens", `{"name":"accounts/default/tokens/mine","scopes":["fly"],"expire_time":"2001-01-01T00:00:00Z"}`, 400)
	if got := violated(bad); got != "token.name token.scopes[0] token.expire_time" {
		t.Errorf("violations = %q", got)
	}
	if got := violated(f.rest(t, "POST", "/v1/accounts/default/tokens", `{}`, 400)); got != "token.scopes" {
		t.Errorf("violations without scopes = %q", got)
	}
	f.rest(t, "POST", "/v1/accounts/nobody/tokens", `{"scopes":["read"]}`, 404)
	_, err = usherv1.NewTokenServiceClient(f.conn).CreateToken(as(t, f.admin), &usherv1.CreateTokenRequest{
		Parent: "accounts/default", Token: &usherv1.Token{Scopes: []string{"read"}, ExpireTime: timestamppb.New(time.Now().Add(time.Hour))},
	})
	must(t, err)
}
