package trainer

import (
	"context"
	"testing"
	"time"

	"github.com/usherhq/usher/model"
)

// A challenge waits for nobody and nobody waits for it; there is one at a time, and
// none too early.
func TestChallengesTakeTurns(t *testing.T) {
	var c challenges
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	if !c.begin("a", at, time.Hour) {
		t.Fatal("the first may not start")
	}
	if c.begin("b", at, time.Hour) {
		t.Error("two run at once")
	}
	c.end()
	if c.begin("a", at.Add(59*time.Minute), time.Hour) {
		t.Error("an account's second comes too early")
	}
	if !c.begin("b", at, time.Hour) {
		t.Error("another account has to wait")
	}
	c.end()
	if !c.begin("a", at.Add(time.Hour), time.Hour) {
		t.Error("an hour later it is too early still")
	}
}

// slow is a challenger that ends when it is told to.
type slow struct{ begun, end chan struct{} }

func (s slow) Challenge(ctx context.Context, _ model.Config, rows []*Row) model.ChallengerFit {
	close(s.begun)
	select {
	case <-s.end:
	case <-ctx.Done():
	}
	return model.ChallengerFit{Family: "slow", Rows: int64(len(rows))}
}

func TestChallengeIsOnTheCard(t *testing.T) {
	d := newDesk("acme")
	tr := start(t, d, settings())
	rival := slow{begun: make(chan struct{}), end: make(chan struct{})}
	tr.deps.Challenger = rival
	d.arriveAll("acme", d.decide(seeded(1), "acme", 2000))
	tr.step(t.Context())
	<-rival.begun
	live := d.champion("acme")
	if live == "" {
		t.Fatal("the model waits for its challenger")
	}
	if card := d.lastCard("acme"); card.Golearn != nil {
		t.Fatal("the card tells of a challenger that is not done")
	}
	close(rival.end)
	tr.challenges.wait.Wait()
	card, _, err := d.LoadModel(t.Context(), "acme", live)
	if err != nil {
		t.Fatal(err)
	}
	if card.Golearn == nil || card.Golearn.Family != "slow" || card.Golearn.Rows != 2000 || card.Gate != gatePassed {
		t.Errorf("the card is %+v", card)
	}
}

// Run ends its challenger, and nothing of it is stored.
func TestChallengeEndsWithRun(t *testing.T) {
	d := newDesk("acme")
	tr := start(t, d, settings())
	rival := slow{begun: make(chan struct{}), end: make(chan struct{})}
	tr.deps.Challenger = rival
	d.arriveAll("acme", d.decide(seeded(1), "acme", 2000))
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		<-rival.begun
		stop()
	}()
	if err := tr.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if card := d.lastCard("acme"); card.Version == "" || card.Golearn != nil {
		t.Errorf("the card is %+v", card)
	}
}
