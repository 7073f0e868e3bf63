package server_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// A change leaves alone what it does not name, on every resource.
func TestPatchKeepsWhatItDoesNotName(t *testing.T) {
	f := start(t)
	f.rest(t, "POST", "/v1/accounts/default/policies", vip, 200)
	f.rest(t, "POST", "/v1/accounts/default/objectives", `{"name":"csat","description":"Happy","terms":[{"kind":"csat","weight":0.2}],"window":"3600s","default_reward":0.5}`, 200)
	const d = "/v1/accounts/default"
	for _, c := range []struct{ method, path, body, want string }{
		{"PATCH", d + "/modes/account", `{"mode":"HOLDOUT","share":0.2,"exploration":0.1,"objective":"csat"}`, "mode:HOLDOUT share:0.2 exploration:0.1 objective:csat"},
		{"PATCH", d + "/modes/account", `{"mode":"ON"}`, "mode:ON share:0.2 exploration:0.1 objective:csat"},
		{"PATCH", d + "/modes/account", `{"share":0,"exploration":null}`, "mode:ON share:0 exploration:<nil> objective:csat"},
		{"PUT", d + "/modes/account", `{"share":0.3}`, "mode:ON share:0.3 objective:csat"},
		{"PUT", d + "/modes/account", `{"share":0}`, "mode:ON share:0 objective:csat"},
		{"PATCH", d + "/modes/account?update_mask=objective", `{"mode":"OFF"}`, "mode:ON share:0 objective:"},
		{"PATCH", d + "/modes/account?update_mask=*", `{"mode":"OFF"}`, "mode:OFF share:0 objective:"},
		{"PATCH", d, `{"display_name":"Mine"}`, "display_name:Mine default_effect:map[rank:map[]]"},
		{"PATCH", d, `{"displayName":"Ours"}`, "display_name:Ours default_effect:map[rank:map[]]"},
		{"PATCH", d, `{"default_effect":{"dney":{}}}`, ""},
		{"PATCH", d, `{}`, "display_name:Ours default_effect:map[rank:map[]]"},
		{"PATCH", d, `{"default_effect":null}`, "display_name:Ours default_effect:<nil>"},
		{"PATCH", d + "/policies/vip", `{"effect":{"rank":{}}}`, "display_name:VIPs first effect:map[rank:map[]]"},
		{"PATCH", d + "/policies/vip", `{"enabled":false,"revision":"7","position":9,"update_time":"2026-01-01T00:00:00Z"}`, "enabled:false display_name:VIPs first position:0"},
		{"PATCH", d + "/policies/vip", `{"when":{"any":[{"attribute":"tier","operator":"eq","value":"gold"}]}}`, "enabled:false effect:map[rank:map[]]"},
		{"PATCH", d + "/objectives/csat", `{"margin":0.1}`, "description:Happy window:3600s default_reward:0.5 margin:0.1"},
		{"PATCH", d + "/objectives/csat", `{"default_reward":null}`, "description:Happy window:3600s default_reward:<nil> margin:0.1"},
	} {
		code := 200
		if c.want == "" {
			code = 400
		}
		got := f.rest(t, c.method, c.path, c.body, code)
		for part := range strings.FieldsSeq(strings.ReplaceAll(c.want, "VIPs first", "VIPs_first")) {
			key, want, _ := strings.Cut(part, ":")
			if v := strings.ReplaceAll(fmt.Sprint(got[key]), " ", "_"); v != want {
				t.Errorf("%s %s %s: %s is %v, want %v", c.method, c.path, c.body, key, v, want)
			}
		}
	}
	if when := f.rest(t, "GET", d+"/policies/vip", "", 200)["when"]; !strings.Contains(fmt.Sprint(when), "any") {
		t.Errorf("when = %v", when)
	}
	for _, mask := range []string{"mood", "terms.kind", "name.x"} {
		if got := violated(f.rest(t, "PATCH", d+"/objectives/csat?update_mask=margin,"+mask, `{}`, 400)); got != "update_mask" {
			t.Errorf("mask %q violates %q", mask, got)
		}
	}
}

// Over gRPC the mask is the caller's; without one the populated fields count.
func TestPatchOverGRPC(t *testing.T) {
	f := start(t)
	client := usherv1.NewControlServiceClient(f.conn)
	update := func(m *usherv1.Mode, paths ...string) (*usherv1.UpdateModeResponse, error) {
		m.Name = "accounts/default/modes/account"
		return client.UpdateMode(as(t, f.admin), &usherv1.UpdateModeRequest{Mode: m, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}})
	}
	_, err := update(&usherv1.Mode{Mode: "HOLDOUT", Share: 0.2, Objective: "default"})
	must(t, err)
	got, err := update(&usherv1.Mode{Mode: "ON"})
	must(t, err)
	if m := got.GetMode(); m.GetShare() != 0.2 || m.GetObjective() != "default" || m.GetMode() != "ON" {
		t.Errorf("without a mask = %v", m)
	}
	got, err = update(&usherv1.Mode{Mode: "OFF"}, "share", "objective")
	must(t, err)
	if m := got.GetMode(); m.GetShare() != 0 || m.GetObjective() != "" || m.GetMode() != "ON" {
		t.Errorf("with a mask = %v", m)
	}
	if _, err = update(&usherv1.Mode{}, "nope"); status.Code(err) != codes.InvalidArgument {
		t.Errorf("an unknown path = %v", err)
	}
}

// Writers of different fields do not undo each other, without any etag.
func TestPatchesAtOnce(t *testing.T) {
	f := start(t)
	f.rest(t, "PATCH", "/v1/accounts/default/modes/account", `{"mode":"ON"}`, 200)
	var writers sync.WaitGroup
	for _, body := range []string{`{"share":0.25}`, `{"exploration":0.5}`, `{"objective":"default"}`} {
		writers.Go(func() { f.rest(t, "PATCH", "/v1/accounts/default/modes/account", body, 200) })
	}
	writers.Wait()
	m := f.rest(t, "GET", "/v1/accounts/default/modes/account", "", 200)
	if m["mode"] != "ON" || m["share"] != 0.25 || m["exploration"] != 0.5 || m["objective"] != "default" {
		t.Errorf("mode = %v", m)
	}
}

// If-Match guards every change that has an etag, and yields to one in the body.
func TestIfMatch(t *testing.T) {
	f := start(t)
	const d = "/v1/accounts/default"
	p := f.rest(t, "POST", d+"/policies", vip, 200)
	f.rest(t, "PATCH", d+"/modes/skill:x", `{"mode":"ON"}`, 200)
	for _, call := range []string{
		"PATCH  {}", "PATCH /objectives/default {}", "PATCH /modes/account {}", "PUT /modes/account {}", "DELETE /modes/skill:x ",
		"PATCH /policies/vip {}", "POST /policies/vip:enable {}", "POST /policies/vip:disable {}",
		`POST /policies/vip:move {"position":0}`, "DELETE /policies/vip ",
	} {
		parts := strings.SplitN(call, " ", 3)
		f.restAs(t, f.admin, parts[0], d+parts[1], parts[2], 409, "If-Match", `"999999"`)
		f.restAs(t, f.admin, parts[0], d+parts[1], parts[2], 400, "If-Match", `W/"1"`)
	}
	etag := fmt.Sprintf("%q", p["etag"])
	f.restAs(t, f.admin, "PATCH", d+"/policies/vip", fmt.Sprintf(`{"etag":%s}`, etag), 200, "If-Match", `"999999"`)
	f.restAs(t, f.admin, "DELETE", d+"/policies/vip", "", 409, "If-Match", etag)
	f.restAs(t, f.admin, "DELETE", d+"/policies/vip", "", 200, "If-Match", "*")
}
