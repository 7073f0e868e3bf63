package clickhouse

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/usherhq/usher/analytics"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline"
	"github.com/usherhq/usher/pipeline/event"
)

func TestDecisionComesBackWhole(t *testing.T) {
	db := open(t)
	d := decision("d1", epoch)
	d.Policies = []event.PolicyTrace{{Policy: "vip", State: event.True, Conditions: []event.ConditionTrace{{Path: "when.all[0]", Truth: event.Unknown}}}}
	write(t, NewWriter(db, nil, nil), &pipeline.Block{
		Topic: "t", Last: 4, Decisions: []pipeline.Stored[event.Decision]{storedAt(0, d)},
		Outcomes: []pipeline.Stored[event.Outcome]{
			storedAt(1, outcome("o2", "crm", epoch.Add(time.Minute))), storedAt(2, outcome("o1", "crm", epoch)),
		},
	})
	got, err := db.Decision(t.Context(), "acme", "d1")
	if err != nil {
		t.Fatal(err)
	}
	a, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("the decision is\n%s, want\n%s", a, b)
	}
	outcomes, err := db.Outcomes(t.Context(), "acme", "d1")
	if err != nil || len(outcomes) != 2 || outcomes[0].ID != "o1" || outcomes[1].Kind != "resolved" {
		t.Errorf("the outcomes are %+v (%v)", outcomes, err)
	}
	for _, ask := range [][2]string{{"acme", "d2"}, {"other", "d1"}, {"acme' OR '1'='1", "d1"}} {
		if _, err := db.Decision(t.Context(), ask[0], ask[1]); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%v gave %v", ask, err)
		}
	}
}

func TestModelsAreKeptByteForByte(t *testing.T) {
	db := open(t)
	artifact := make([]byte, 3<<20)
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // reproducible bytes
	for i := range artifact {
		artifact[i] = byte(random.Uint32())
	}
	m := analytics.Model{
		Account: "acme", Version: "m1", Objective: "solve", CreatedAt: epoch, Rows: 7, Gate: "promoted",
		Card: json.RawMessage(`{"gate":"promoted"}`), Artifact: artifact,
	}
	if err := db.SaveModel(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	m.GateReason = "again"
	if err := db.SaveModel(t.Context(), m); err != nil {
		t.Fatalf("save again: %v", err)
	}
	other := m
	other.Version, other.Artifact, other.CreatedAt = "m2", []byte{0}, epoch.Add(time.Hour)
	if err := db.SaveModel(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	got, err := db.LoadArtifact(t.Context(), "acme", "m1")
	if err != nil || !bytes.Equal(got, artifact) {
		t.Errorf("the artifact differs (%d bytes, %v)", len(got), err)
	}
	cards, err := db.Cards(t.Context(), "acme", 0)
	if err != nil || len(cards) != 2 || cards[0].Version != "m2" || cards[1].GateReason != "again" || cards[1].Size != 3<<20 || cards[1].Artifact != nil {
		t.Errorf("the cards are %+v (%v)", cards, err)
	}
	m.Artifact = []byte("changed")
	if err := db.SaveModel(t.Context(), m); fault.KindOf(err) != fault.Exists {
		t.Errorf("another artifact under one version gave %v", err)
	}
	m.SHA256 = "00"
	if err := db.SaveModel(t.Context(), m); err == nil || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("a wrong digest gave %v", err)
	}
	for _, ask := range [][2]string{{"other", "m1"}, {"acme", "m3"}} {
		if _, err := db.LoadArtifact(t.Context(), ask[0], ask[1]); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%v gave %v", ask, err)
		}
	}
	if cards, err := db.Cards(t.Context(), "other", 0); err != nil || len(cards) != 0 {
		t.Errorf("another account sees %+v (%v)", cards, err)
	}
}

func TestDeadLettersAreFoundByReason(t *testing.T) {
	db := open(t)
	w := NewWriter(db, nil, nil)
	b := &pipeline.Block{Topic: "t", Last: 5}
	for i := range 6 {
		b.Dead = append(b.Dead, event.DeadLetter{
			Account: []string{"acme", "other", ""}[i%3], Topic: []string{"t", "u"}[i%2], Partition: 1, Offset: int64(i),
			Time: epoch.Add(time.Duration(i) * time.Hour), Reason: []string{"MALFORMED", "FIELD"}[i/3], Field: "value", Detail: "not a number",
			Key: []byte{0, 255}, Value: []byte{1, 254, 0}, Headers: map[string]string{"ce_type": "x"},
		})
	}
	write(t, w, b)
	for name, test := range map[string]struct {
		q    analytics.DeadLetterQuery
		want string
	}{
		"all":          {analytics.DeadLetterQuery{AllAccounts: true}, "0 2 4 1 3 5"},
		"account":      {analytics.DeadLetterQuery{Account: "acme"}, "0 3"},
		"no account":   {analytics.DeadLetterQuery{}, "2 5"},
		"topic":        {analytics.DeadLetterQuery{AllAccounts: true, Topic: "u"}, "1 3 5"},
		"reason":       {analytics.DeadLetterQuery{AllAccounts: true, Reason: "FIELD"}, "4 3 5"},
		"time":         {analytics.DeadLetterQuery{AllAccounts: true, From: epoch.Add(time.Hour), To: epoch.Add(3 * time.Hour)}, "2 1"},
		"limit":        {analytics.DeadLetterQuery{AllAccounts: true, Limit: 2}, "0 2"},
		"injected SQL": {analytics.DeadLetterQuery{AllAccounts: true, Topic: "' OR 1=1 --"}, ""},
	} {
		var got []string
		for d, err := range db.DeadLetters(t.Context(), test.q) {
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(d.Value, b.Dead[d.Offset].Value) || !bytes.Equal(d.Key, []byte{0, 255}) || !d.Time.Equal(b.Dead[d.Offset].Time) ||
				d.Headers["ce_type"] != "x" || d.Partition != 1 {
				t.Errorf("%s: the letter came back as %+v", name, d)
			}
			got = append(got, fmt.Sprint(d.Offset))
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: offsets %v, want %s", name, got, test.want)
		}
	}
	if c, err := db.Counts(t.Context(), "acme"); err != nil || c.DeadLetters != 2 {
		t.Errorf("counts are %+v (%v)", c, err)
	}
	if c, err := db.Counts(t.Context(), ""); err != nil || c.DeadLetters != 6 {
		t.Errorf("all counts are %+v (%v)", c, err)
	}
}
