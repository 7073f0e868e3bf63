package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// told is how a command ended.
type told struct {
	out, err string
	code     int
}

// tool runs the binary against a running server, as people do.
func (p *process) tool(token string, args ...string) told {
	p.t.Helper()
	var out, err bytes.Buffer
	cmd := exec.CommandContext(p.t.Context(), binary(), args...)
	cmd.Stdout, cmd.Stderr = &out, &err
	cmd.Env = append(os.Environ(), "USHER_URL=http://"+p.ready.HTTP, "USHER_TOKEN="+token)
	if fault := cmd.Run(); fault != nil && cmd.ProcessState == nil {
		p.t.Fatal(fault)
	}
	return told{out: out.String(), err: err.String(), code: cmd.ProcessState.ExitCode()}
}

// want fails the test when a command did not end so, or did not say so.
func (r told) want(t *testing.T, what string, code int, words ...string) {
	t.Helper()
	if r.code != code {
		t.Fatalf("%s ends with %d, want %d\n%s%s", what, r.code, code, r.out, r.err)
	}
	for _, w := range words {
		if !strings.Contains(r.out+r.err, w) {
			t.Errorf("%s does not say %q:\n%s%s", what, w, r.out, r.err)
		}
	}
}

// TestPoliciesByFile walks the way of a policy kept in files: imported, compared,
// exported, replayed against what was decided, and every decision explained and
// proved.
func TestPoliciesByFile(t *testing.T) {
	t.Parallel()
	p := launch(t, free(t.TempDir())...)
	token := p.ready.AdminToken
	tool := func(args ...string) told { return p.tool(token, args...) }
	desk := filepath.Join(examplesFolder(), "desk.yaml")
	declare(t, p, token)

	tool("policy", "import", desk, "--dry-run").want(t, "a dry run", 0, "would import 6 policies")
	tool("policy", "diff", "live", desk, "--exit-code").want(t, "a diff before the import", 1, "+ outage")
	tool("policy", "import", desk, "--enable", "--reason", "as in git").want(t, "the import", 0, "imported 6 policies into the list")
	tool("policy", "diff", "live", desk, "--exit-code").want(t, "a diff after the import", 0, "no difference")
	tool("policy", "import", filepath.Join(examplesFolder(), "liveperson.json"), "--draft", "moved").
		want(t, "an import into a draft", 0, "into the draft moved", "it cannot be published before 3 errors are mended")
	tool("policy", "diff", "live", "moved").want(t, "a diff with a draft", 0, "+ office-hours")
	bad := file(t, "bad.yaml", "- name: bad\n  effect: {fixed: {actions: []}}\n")
	tool("policy", "import", bad).want(t, "a bad import", 2, "bad.yaml:2: ")
	tool("policy", "import", bad, "--dry-run").want(t, "a bad dry run", 2, "bad.yaml:2: error MISSING")

	tool("policy", "import", filepath.Join(examplesFolder(), "liveperson.json"), "--draft", "moved").
		want(t, "the same draft again", 1, "--overwrite replaces", "usher policy draft delete moved")
	tool("policy", "import", filepath.Join(examplesFolder(), "liveperson.json"), "--draft", "moved", "--overwrite").
		want(t, "the draft in its place", 0, "imported 3 policies into the draft moved: 3 added", "added: vip-to-the-adviser, ", "on the server: warning")
	tool("policy", "draft", "list").want(t, "the drafts", 0, "moved  revision ")
	tool("policy", "import", desk, "--enable").want(t, "the same once more", 0, "imported 6 policies into the list", "6 unchanged", "unchanged: ")
	exported := filepath.Join(t.TempDir(), "export.json")
	tool("policy", "export", "-o", exported).want(t, "the export", 0)
	tool("policy", "check", exported, "--strict").want(t, "a check of the export", 0, "6 policies, 0 errors, 0 warnings")
	tool("policy", "diff", exported, desk, "--exit-code").want(t, "a diff of the export", 0, "no difference")
	exported = filepath.Join(t.TempDir(), "export.yaml")
	tool("policy", "export", "-o", exported).want(t, "the export in YAML", 0)
	if text, err := os.ReadFile(exported); err != nil || !strings.HasPrefix(string(text), "policies:\n  - name: ") {
		t.Errorf("the YAML does not begin with a name: %v\n%.200s", err, text)
	}
	tool("policy", "diff", exported, desk, "--exit-code").want(t, "a diff of the YAML", 0, "no difference")

	id := decide(t, p, token)
	p.client(token).eventuallyKnown(id)
	tool("explain", id).want(t, "the explanation", 0, "Decision "+id, "refunds  <- decided", "intent in [\"refund\",\"return\"]", `was "refund"`)
	tool("explain", "accounts/default/decisions/"+id, "--json").want(t, "the record", 0, `"decision_id": "`+id+`"`)
	tool("explain", "c1").want(t, "an unknown decision", 1, "usher explain --conversation c1")
	tool("explain").want(t, "nothing to explain", 2, "--conversation")
	eventually(t, "the conversation is known", func() error {
		if r := tool("explain", "--conversation", "c1"); r.code != 0 || !strings.Contains(r.out, "Decision "+id) {
			return fmt.Errorf("it ends with %d: %s%s", r.code, r.out, r.err)
		}
		return nil
	})
	tool("explain", "--conversation", "c2").want(t, "an unknown conversation", 1, "there is no decision of the conversation c2")
	tool("explain", id, "--verify").want(t, "the proof", 0, "Verified: SAME")
	simulations(t, p, token, desk)
	management(t, p, token, desk)
	p.stop()
}

// simulations replays what was decided: nothing changes with the same policies,
// everything with others.
func simulations(t *testing.T, p *process, token, desk string) {
	t.Helper()
	tool := func(args ...string) told { return p.tool(token, args...) }
	eventually(t, "the decisions can be replayed", func() error {
		if r := tool("policy", "simulate", "--since", "1h", "--draft", desk, "--max-changed", "0"); r.code != 0 || !strings.Contains(r.out, "0 of 1 decisions change") {
			return fmt.Errorf("it ends with %d: %s%s", r.code, r.out, r.err)
		}
		return nil
	})
	other := file(t, "other.yaml", "- name: all\n  effect: {fixed: {actions: [{type: TRANSFER_TO_SKILL, target: sales}]}}\n")
	tool("policy", "simulate", "--since", "1h", "--draft", other, "--max-changed", "50").
		want(t, "another list", 3, "1 of 1 decisions change", "sales by all", "more than 50 %")
	tool("policy", "simulate", "--draft", other, "--objective", "nope").want(t, "no such objective", 2, `--objective: there is no objective "nope", only default`)
	tool("policy", "report", "--objective", "nope").want(t, "a report on no such objective", 2, "only default")
	// The draft speaks of custom attributes that the account does not have.
	tool("policy", "simulate", "--since", "1h", "--draft", "moved", "--json").want(t, "a draft", 3, `"decisions": "1"`, "the draft has 3 errors")
}

// management publishes, goes back, and reports, all from the command line.
func management(t *testing.T, p *process, token, desk string) {
	t.Helper()
	tool := func(args ...string) told { return p.tool(token, args...) }
	one := file(t, "one.yaml", "- name: refunds\n  display_name: Changed\n  effect: {fixed: {actions: [{type: TRANSFER_TO_SKILL, target: sales}]}}\n")
	tool("policy", "import", one, "--dry-run").want(t, "a dry run of one", 0, "replaced: refunds", "would import 1 policy")
	tool("policy", "import", one, "--draft", "one").want(t, "a draft of one", 0, "imported 1 policy into the draft one: 1 replaced")
	tool("policy", "publish", "nobody").want(t, "a draft that is not", 1, "nobody")
	r := tool("policy", "publish", "one", "--reason", "for a test")
	r.want(t, "publishing", 0, "~ refunds", "display_name: ", "1 policy differs")
	tool("policy", "revisions").want(t, "the revisions", 0, "REVISION", "~refunds", "for a test", "as in git")
	tool("policy", "rollback", "abc").want(t, "no revision", 2, "is not a revision")
	tool("policy", "disable", "refunds", "--reason", "a pause").want(t, "disabling", 0, "disabled refunds")
	tool("policy", "enable", "refunds").want(t, "enabling", 0, "enabled refunds")
	tool("policy", "move", "refunds", "0").want(t, "moving", 0, "moved refunds to 0")
	var list struct {
		Revisions []struct {
			Revision string `json:"revision"`
			Reason   string `json:"reason"`
		} `json:"revisions"`
	}
	p.client(token).must(http.MethodGet, "/v1/accounts/default/policyRevisions", nil, &list)
	for _, one := range list.Revisions {
		if one.Reason == "as in git" {
			tool("policy", "rollback", one.Revision, "--reason", "back").want(t, "going back", 0, "back to revision "+one.Revision)
		}
	}
	tool("policy", "diff", "live", desk, "--exit-code").want(t, "the list after going back", 0, "no difference")
	tool("policy", "draft", "delete", "moved").want(t, "deleting a draft", 0, "deleted the draft moved")
	tool("policy", "report", "--since", "1h").want(t, "the report", 0, "POLICY", "LIFT", "refunds", "never matched: ")
	tool("policy", "report", "--json").want(t, "the report as JSON", 0, `"decisions": "`)
	tool("policy", "report", "--period", "year").want(t, "no such period", 2, "neither hour nor day")
}

// declare gives the account the calendar and the skills that the example uses.
func declare(t *testing.T, p *process, token string) {
	t.Helper()
	c := p.client(token)
	calendar := map[string]any{
		"zone":  "Europe/Berlin",
		"hours": []any{map[string]any{"days": []any{"MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"}}},
	}
	c.must(http.MethodPost, "/v1/accounts/default/calendars?calendar_id=desk-hours", calendar, nil)
}

// decide asks for one decision and returns its id.
func decide(t *testing.T, p *process, token string) string {
	t.Helper()
	var answer struct {
		ID string `json:"decision_id"`
	}
	p.client(token).must(http.MethodPost, "/v1/accounts/default/nextActions", map[string]any{
		"conversation_id": "c1", "intent": "refund", "attributes": map[string]any{"tier": "silver"},
	}, &answer)
	return answer.ID
}

// eventuallyKnown waits until a decision can be asked for.
func (c *client) eventuallyKnown(id string) {
	c.t.Helper()
	eventually(c.t, "the decision is known", func() error {
		return c.try(c.t.Context(), http.MethodGet, "/v1/accounts/default/decisions/"+id, nil, nil)
	})
}

// file writes a file for a command.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
