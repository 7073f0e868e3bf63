package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// playDesk plays conversations whose truth is one sentence: gold callers who cancel or
// complain belong to retention, orders to sales, all others to care.
func playDesk(c *client, from, n int) {
	intents := []string{"cancel", "complaint", "order", "invoice"}
	tiers := []string{"gold", "silver", "bronze"}
	desks := []string{"sales", "retention", "care"}
	for i := from; i < from+n; i++ {
		intent, tier := intents[i%4], tiers[i/4%3]
		right := "care"
		switch {
		case intent == "order":
			right = "sales"
		case intent != "invoice" && tier == "gold":
			right = "retention"
		}
		candidates := []any{}
		for k := range desks {
			candidates = append(candidates, map[string]any{"target": desks[(i/12+k)%3]}) // everybody is first now and then
		}
		id := fmt.Sprint("desk-", i)
		var a answer
		c.must("POST", "/v1/accounts/default/nextActions", map[string]any{
			"request_id": id, "conversation_id": id, "consumer_id": "person-" + tier, "intent": intent, "candidates": candidates,
			// Personal, and as telling as the tier itself.
			"attributes": map[string]any{"tier": tier, "home": "street of " + tier},
		}, &a)
		value := 0.0
		if a.Actions[0].Target == right {
			value = 1
		}
		c.must("POST", "/v1/accounts/default/outcomes", map[string]any{
			"id": id, "source": "desk", "conversation_id": id, "kind": "resolved", "value": value,
		}, nil)
	}
}

// TestModelsByCommand walks the way of a model in an admin's hands: listed, looked at,
// read as policies that check, import and replay, taken back and promoted.
func TestModelsByCommand(t *testing.T) {
	t.Parallel()
	p := launch(t, append(append(free(t.TempDir()), training()...), "--set", "training.challenger=1s")...)
	token := p.ready.AdminToken
	c := p.client(token)
	tool := func(args ...string) told { return p.tool(token, args...) }
	tool("model", "card").want(t, "a card before any model", 1, "no model is live")
	tool("model", "distil").want(t, "a reading before any model", 1, "no model is live")
	tool("model", "distil", "nobody").want(t, "an unknown model", 1, "nobody")
	c.must("POST", "/v1/accounts/default/attributes?attribute_id=home", map[string]any{"type": "string", "source": "request", "pii": true}, nil)
	c.must("POST", "/v1/accounts/default/attributes?attribute_id=tier", map[string]any{"type": "string", "source": "request"}, nil)
	c.must("PATCH", "/v1/accounts/default/modes/account", map[string]any{"mode": "ON", "exploration": 0.3}, nil)
	playDesk(c, 0, 720)
	s := &site{t: t, api: func() *client { return c }}
	s.champion()
	playDesk(c, 720, 480)

	tool("model", "list").want(t, "the models", 0, "MODEL", "CHAMPION", "default")
	tool("model", "list", "--json", "--limit", "1").want(t, "the models as JSON", 0, `"models"`)
	eventually(t, "the rules say what was learned", func() error {
		r := tool("model", "distil")
		if r.code != 0 || !strings.Contains(r.out, "intent in {cancel, complaint} and tier = gold -> skill retention") {
			return fmt.Errorf("it ends with %d: %s%s", r.code, r.out, r.err)
		}
		return nil
	})
	version := s.champion()
	answer := tool("model", "distil", version, "--json")
	answer.want(t, "the rules as JSON", 0, `"policies"`, `"agreement"`, `"estimates"`)
	if all := tool("model", "distil").out + answer.out; strings.Contains(all, "home") || strings.Contains(all, "street") || strings.Contains(all, "person-") {
		t.Errorf("it tells what is personal:\n%s", all)
	}
	tool("model", "distil", "--depth", "7").want(t, "too deep", 2, "depth", "1 to 6")
	candidates := filepath.Join(t.TempDir(), "candidates.yaml")
	tool("model", "distil", version, "-o", candidates).want(t, "the policies", 0, "wrote ")
	tool("policy", "check", candidates).want(t, "a check of the policies", 0, "0 errors")
	tool("policy", "import", candidates, "--draft", "candidates").want(t, "a draft of the policies", 0, "into the draft candidates")
	tool("policy", "simulate", "--since", "1h", "--draft", "candidates").want(t, "a replay of the draft", 0, "decisions change")
	folder := t.TempDir()
	tool("model", "distil", version, "-o", folder).want(t, "the policies apart", 0, "wrote ")
	if files, err := os.ReadDir(folder); err != nil || len(files) < 3 || !strings.HasPrefix(files[0].Name(), "distilled-1-") {
		t.Errorf("the folder holds %v, %v", files, err)
	}
	challenged(t, p, tool)
	tool("model", "rollback", "--reason", "for a test").want(t, "taking it back", 0, "live")
	tool("model", "promote", version, "--reason", "for a test").want(t, "promoting", 0, version+" is live")
	tool("model", "card", version).want(t, "the card", 0, "CHAMPION", "held_out.loss", "gate_reason")
	p.stop()
}

// challenged waits until a model's card tells of golearn's trees.
func challenged(t *testing.T, p *process, tool func(...string) told) {
	t.Helper()
	eventually(t, "a card tells of the challenger", func() error {
		var list struct {
			Models []struct {
				Card struct {
					Version string
					Golearn *struct {
						Fault string
						Held  float64 `json:"held_out_rows"`
					}
				}
			}
		}
		p.client(p.ready.AdminToken).must(http.MethodGet, "/v1/accounts/default/models", nil, &list)
		for _, m := range list.Models {
			if g := m.Card.Golearn; g != nil {
				if g.Fault != "" || g.Held == 0 {
					t.Fatalf("the challenger ended with %+v", g)
				}
				tool("model", "card", m.Card.Version).want(t, "the card", 0, "golearn.loss", "golearn.ours", "golearn.family")
				return nil
			}
		}
		return fmt.Errorf("none of %d cards does", len(list.Models))
	})
}

// TestCardShowsADashWhereTheLogCannotTell, and the number where it can.
func TestCardShowsADashWhereTheLogCannotTell(t *testing.T) {
	card := modelDocument{
		"comparison": map[string]any{"trusted": false, "gain_lower": -0.5},
		"held_out":   map[string]any{"loss": 0.1, "champion": 0.25},
	}
	got := fmt.Sprint(card.withGaps().lines("", nil))
	for _, want := range []string{"[comparison.gain -]", "[comparison.challenger -]", "[comparison.gain_lower -0.5]", "[held_out.challenger -]", "[held_out.champion 0.25]"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
}
