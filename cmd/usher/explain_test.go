package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// TestPages renders answers of the API, as they are on the wire, and compares them
// with the pages that people get. An environment variable rewrites the pages.
func TestPages(t *testing.T) {
	for name, render := range map[string]func(t *testing.T, text []byte) string{
		"record": func(t *testing.T, text []byte) string {
			var d usherv1.DecisionRecord
			decode(t, text, &d)
			return explanation(&d)
		},
		"bare": func(t *testing.T, text []byte) string {
			var d usherv1.DecisionRecord
			decode(t, text, &d)
			return explanation(&d)
		},
		"split": func(t *testing.T, text []byte) string {
			var d usherv1.DecisionRecord
			decode(t, text, &d)
			return explanation(&d)
		},
		"fixed": func(t *testing.T, text []byte) string {
			var d usherv1.DecisionRecord
			decode(t, text, &d)
			return explanation(&d)
		},
		"conversation": func(t *testing.T, text []byte) string {
			var l usherv1.ListDecisionsResponse
			decode(t, text, &l)
			return conversationPage(l.GetDecisions())
		},
		"different": func(t *testing.T, text []byte) string {
			var v usherv1.VerifyDecisionResponse
			decode(t, text, &v)
			return verification(&v)
		},
		"simulation": func(t *testing.T, text []byte) string {
			var s usherv1.SimulatePoliciesResponse
			decode(t, text, &s)
			var out bytes.Buffer
			w := &world{streams: streams{out: &out, err: &out}}
			if err := w.simulation(&s); err != nil {
				t.Fatal(err)
			}
			return out.String()
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", "explain", name+".txtar")
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := render(t, archive.Files[0].Data)
			if os.Getenv("TEST_REWRITE_PAGES") != "" {
				archive.Files = append(archive.Files[:1], txtar.File{Name: "page", Data: []byte(got)})
				if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := string(archive.Files[1].Data); got != want {
				t.Errorf("the page is\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func decode(t *testing.T, text []byte, into proto.Message) {
	t.Helper()
	if err := protojson.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// TestDecisionID: an id alone, or a whole name, which names the account.
func TestDecisionID(t *testing.T) {
	for name, c := range map[string]struct{ account, id, of, wrong string }{
		"d1":                          {id: "d1"},
		"accounts/acme/decisions/d1":  {id: "d1", of: "acme"},
		"accounts/acme/decisions/d2":  {account: "acme", id: "d2", of: "acme"},
		"accounts/acme/decisions/d3":  {account: "other", wrong: "of another account"},
		"accounts/acme/policies/d1":   {wrong: "neither"},
		"accounts//decisions/d1":      {wrong: "neither"},
		"":                            {wrong: "neither"},
		"accounts/acme/decisions/d/1": {wrong: "neither"},
	} {
		r := reach{account: c.account}
		id, err := decisionID(name, &r)
		switch {
		case c.wrong != "":
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%q gives %v, want an error with %q", name, err, c.wrong)
			}
		case err != nil || id != c.id || r.account != c.of:
			t.Errorf("%q gives %q of %q, %v", name, id, r.account, err)
		}
	}
}

// TestBounds: what a pipeline is told.
func TestBounds(t *testing.T) {
	for _, c := range []struct {
		changed, decisions, errors int64
		most                       float64
		code                       int
	}{
		{0, 0, 0, 0, 0}, {5, 100, 0, 5, 0}, {6, 100, 0, 5, 3}, {0, 100, 1, 100, 3}, {100, 100, 0, 100, 0}, {1, 1000, 0, 0, 3},
	} {
		err := bounds(&usherv1.SimulatePoliciesResponse{Changed: c.changed, Decisions: c.decisions, DraftErrors: c.errors}, c.most)
		if code := exitCode(err, &bytes.Buffer{}); code != c.code {
			t.Errorf("%+v ends with %d: %v", c, code, err)
		}
	}
}
