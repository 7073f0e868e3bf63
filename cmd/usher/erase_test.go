package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usherhq/usher/pipeline/event"
	"github.com/usherhq/usher/pipeline/kafka"
)

// forgotten is in every id of the person, and in no other text.
const forgotten = "zoe-4711"

// shownErasure is an erasure as the API lists it.
type shownErasure struct {
	ConsumerHash string `json:"consumer_hash"`
	State        string
	Detail       string
	Decisions    int `json:",string"`
	Outcomes     int `json:",string"`
	Contexts     int `json:",string"`
	Models       []string
	RetrainBy    time.Time `json:"retrain_by"`
}

// tablesWith counts, by table, the rows of ClickHouse in which some text holds the
// part. Every column of every table that holds texts is looked at.
func tablesWith(ctx context.Context, addr, part string) (map[string]string, error) {
	list, err := query(ctx, addr, `SELECT database, table, arrayStringConcat(groupArray(concat('position(toString(`+"`', name, '`"+`), \'`+part+`\') > 0')), ' OR ')
		FROM system.columns WHERE type LIKE '%String%' AND (database, table) IN (
			SELECT database, name FROM system.tables WHERE engine LIKE '%MergeTree%' AND database != 'system')
		GROUP BY database, table`)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for line := range strings.SplitSeq(list, "\n") {
		f := strings.SplitN(line, "\t", 3)
		n, err := query(ctx, addr, "SELECT count() FROM "+f[0]+"."+f[1]+" WHERE "+strings.ReplaceAll(f[2], `\'`, `'`))
		if err != nil {
			return nil, err
		}
		if n != "0" {
			found[f[1]] = n
		}
	}
	return found, nil
}

// zoe has conversations, some known by consumer and some by visitor, context of every
// scope, and an outcome that nobody could read.
func (s *site) zoe(log *kafka.Writer) {
	s.t.Helper()
	intents, desks := slice()
	for i := range 12 {
		id := fmt.Sprintf("%s-c%d", forgotten, i)
		in := map[string]any{"conversation_id": id, "intent": intents[i%3], "candidates": []any{map[string]any{"target": desks[0]}, map[string]any{"target": desks[1]}}}
		in[[]string{"consumer_id", "visitor_id"}[i%2]] = forgotten
		in["attributes"] = map[string]any{"name": forgotten + " the person"}
		s.api().must("POST", "/v1/accounts/default/nextActions", in, nil)
		s.api().must("POST", "/v1/accounts/default/outcomes", map[string]any{
			"id": fmt.Sprintf("%s-o%d", forgotten, i), "source": "zoe", "conversation_id": id, "kind": "resolved", "value": 1, "label": forgotten,
		}, nil)
	}
	for _, session := range []string{"consumer:" + forgotten, forgotten + "-c0"} {
		s.api().must("PATCH", "/v1/accounts/default/namespaces/crm/contexts/"+session, map[string]any{"properties": map[string]any{"a": forgotten}}, nil)
	}
	s.api().must("PATCH", "/v1/accounts/default/namespaces/crm/contexts/somebody", map[string]any{"properties": map[string]any{"a": 1}}, nil)
	s.api().must("POST", "/v1/accounts/default/sdes:capture", map[string]any{"customer_id": forgotten, "entities": []any{
		map[string]any{"type": "ctmrinfo", "info": map[string]any{"ctype": "vip"}},
	}}, nil)
	if err := log.Publish(s.t.Context(), []event.Message{{
		Topic: event.TopicOutcomes, Key: []byte("k"),
		Value: []byte(`{"account":"default","id":"x","conversation_id":"` + forgotten + `-c3","value":"many"}`),
	}}); err != nil {
		s.t.Fatal(err)
	}
}

// logOf opens the broker inside of a process.
func logOf(t *testing.T, p *process) *kafka.Client {
	t.Helper()
	c := kafka.DefaultConfig()
	c.Brokers = []string{p.ready.Kafka}
	log, err := kafka.NewClient(c, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// TestErasure forgets a person over REST: no table has a row of them after it, after a
// crash in the middle, and after the log hands everything over once more.
func TestErasure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	args := append(free(dir), training()...)
	p := launch(t, args...)
	token := p.ready.AdminToken
	s := &site{t: t, ledger: newLedger(), api: func() *client { return p.client(token) }, store: func() string { return p.ready.ClickHouseHTTP }}
	s.api().must("PATCH", "/v1/accounts/default/modes/account", map[string]any{"mode": "ON", "exploration": 0.2}, nil)
	s.converse(80)
	log := logOf(t, p)
	w := log.NewWriter()
	s.zoe(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s.converse(200)
	first := s.champion()
	eventually(t, "everything is stored", func() error {
		found, err := tablesWith(t.Context(), s.store(), forgotten)
		if err == nil && (found["decisions"] != "12" || found["outcomes"] != "12" || found["dead_letters"] != "1") {
			err = fmt.Errorf("rows are %v", found)
		}
		return err
	})

	s.api().must("POST", "/v1/accounts/default:eraseConsumer", map[string]any{"consumer_id": forgotten, "reason": "they asked"}, nil)
	p.kill()
	p = launch(t, args...)
	done := s.erased()
	if done.Decisions != 12 || done.Outcomes != 12 || done.Contexts != 3 || !slices.Contains(done.Models, first) || time.Until(done.RetrainBy) < 29*24*time.Hour {
		t.Errorf("the erasure is %+v, the model %s", done, first)
	}
	s.nothingLeft("after the erasure")
	s.spoolIsClean(dir)
	s.retrained(done)

	log = logOf(t, p)
	w = log.NewWriter()
	for _, topic := range []string{event.TopicDecisions, event.TopicOutcomes} {
		var all []event.Message
		if err := log.Scan(t.Context(), topic, func(m event.Message) error {
			all = append(all, event.Message{Topic: topic, Key: m.Key, Value: m.Value, Headers: m.Headers})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := w.Publish(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s.caughtUp(log)
	s.nothingLeft("after the log handed everything over again")
	p.stop()
	p = launch(t, args...)
	s.nothingLeft("after a restart")
	p.stop()
}

// erased waits for the only erasure to be done.
func (s *site) erased() (e shownErasure) {
	s.t.Helper()
	eventually(s.t, "the erasure is done", func() error {
		var list struct{ Erasures []shownErasure }
		if err := s.api().try(s.t.Context(), "GET", "/v1/accounts/default/erasures", nil, &list); err != nil {
			return err
		}
		if len(list.Erasures) != 1 || list.Erasures[0].State != "DONE" {
			return fmt.Errorf("erasures are %+v", list.Erasures)
		}
		e = list.Erasures[0]
		return nil
	})
	return e
}

func (s *site) nothingLeft(when string) {
	s.t.Helper()
	found, err := tablesWith(s.t.Context(), s.store(), forgotten)
	if err != nil || len(found) > 0 {
		s.t.Errorf("%s the tables have %v (%v)", when, found, err)
	}
	eventually(s.t, "roll-ups are a recount", func() error {
		n, err := query(s.t.Context(), s.store(), "SELECT sum(decisions), (SELECT uniqExact(decision_id) FROM usher.decisions) FROM usher.rollup_day")
		if f := strings.Fields(n); err == nil && (len(f) != 2 || f[0] != f[1]) {
			err = fmt.Errorf("they count %v", n)
		}
		return err
	})
	var page struct{ Contexts []struct{ Session string } }
	s.api().must("GET", "/v1/accounts/default/namespaces/crm/contexts", nil, &page)
	if len(page.Contexts) != 1 {
		s.t.Errorf("%s there is context of %v", when, page.Contexts)
	}
	var decisions struct{ Decisions []any }
	s.api().must("GET", "/v1/accounts/default/decisions?consumer_id="+forgotten, nil, &decisions)
	if len(decisions.Decisions) > 0 {
		s.t.Errorf("%s decisions are listed: %v", when, decisions.Decisions)
	}
}

// spoolIsClean waits until no file of the spool or of the context store's journal
// speaks of the person.
func (s *site) spoolIsClean(dir string) {
	s.t.Helper()
	eventually(s.t, "the spool is clean", func() error {
		files, err := filepath.Glob(filepath.Join(dir, "spool", "*"))
		for _, file := range files {
			text, failed := os.ReadFile(file)
			if failed == nil && strings.Contains(string(text), forgotten) {
				err = fmt.Errorf("%s has it", file)
			}
		}
		return err
	})
}

// retrained wants every model of the erasure marked, and a live one that is not.
func (s *site) retrained(done shownErasure) {
	s.t.Helper()
	eventually(s.t, "a model without the person is live", func() error {
		var list struct {
			Models []struct {
				State     string
				RetrainBy time.Time `json:"retrain_by"`
				Card      struct{ Version string }
			}
		}
		if err := s.api().try(s.t.Context(), "GET", "/v1/accounts/default/models", nil, &list); err != nil {
			return err
		}
		marked := 0
		for _, m := range list.Models {
			if !m.RetrainBy.IsZero() {
				marked++
			}
			if m.State == "CHAMPION" && !m.RetrainBy.IsZero() {
				return fmt.Errorf("model %s is live still", m.Card.Version)
			}
		}
		if marked != len(done.Models) {
			return fmt.Errorf("%d models are marked, want %v", marked, done.Models)
		}
		return nil
	})
}

// caughtUp waits until the warehouse has all that is on the log.
func (s *site) caughtUp(log *kafka.Client) {
	s.t.Helper()
	for _, topic := range []string{event.TopicDecisions, event.TopicOutcomes} {
		eventually(s.t, topic+" is stored", func() error {
			lag, err := log.Lag(s.t.Context(), topic, func(partition int) (int64, error) {
				text, err := query(s.t.Context(), s.store(), fmt.Sprintf(
					"SELECT argMax(last_offset, written_at) + 1 FROM usher.ingest_offsets WHERE topic = '%s' AND partition = %d", topic, partition))
				var next int64
				if err == nil {
					_, err = fmt.Sscan(text, &next)
				}
				return next, err
			})
			for partition, n := range lag {
				if n > 1 {
					err = fmt.Errorf("partition %d lags by %d", partition, n)
				}
			}
			return err
		})
	}
}
