package analytics_test

import (
	"encoding/json"
	"testing"

	"github.com/usherhq/usher/analytics"
)

// A listing shows the card as it was written and no artifact.
func TestModelKeepsItsCardVerbatim(t *testing.T) {
	card := `{"gate":"promoted","rows":12}`
	m := analytics.Model{Version: "v1", Card: json.RawMessage(card)}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var back analytics.Model
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if string(back.Card) != card || back.Artifact != nil {
		t.Errorf("the model came back as %+v", back)
	}
}
