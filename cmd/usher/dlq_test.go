package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"testing"

	"github.com/usherhq/usher/pipeline/event"
	"github.com/usherhq/usher/pipeline/kafka"
)

// TestDeadLetters follows poison through the product: it is set aside with its
// reason on the topic and in the table, holds nothing up, and can be put back.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := launch(t, free(dir)...)
	c := kafka.DefaultConfig()
	c.Brokers = []string{p.ready.Kafka}
	log, err := kafka.NewClient(c, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	writer := log.NewWriter()
	good := `{"id":"1","source":"desk","account":"default","conversation_id":"c","kind":"resolved","value":1,"time":"2026-01-02T03:04:05Z"}`
	var msgs []event.Message
	invalid := strings.NewReplacer(`"1"`, `"2"`, `"resolved"`, `""`).Replace(good)
	for _, value := range []string{"poison", invalid, good} {
		msgs = append(msgs, event.Message{Topic: event.TopicOutcomes, Key: []byte("c"), Value: []byte(value)})
	}
	if err := writer.Publish(t.Context(), msgs); err != nil {
		t.Fatal(err)
	}
	rows := func(want string) {
		t.Helper()
		eventually(t, "rows "+want, func() error {
			got, err := query(t.Context(), p.ready.ClickHouseHTTP,
				"SELECT (SELECT arraySort(groupArray(outcome_id)) FROM usher.outcomes), (SELECT arraySort(groupArray(reason)) FROM usher.dead_letters)")
			if err == nil && got != want {
				err = fmt.Errorf("stored is %q", got)
			}
			return err
		})
	}
	rows("['1']\t['INVALID','MALFORMED']")

	if got := letters(t, dir); len(got) != 2 {
		t.Errorf("listed are %+v, want two", got)
	}
	got := letters(t, dir, "--reason", "INVALID")
	if len(got) != 1 || got[0].Field != "kind" || got[0].Topic != event.TopicOutcomes || len(got[0].Event) == 0 {
		t.Errorf("the invalid one is listed as %+v", got)
	}
	replay := func(want string, flags ...string) {
		t.Helper()
		got := usher(t, append([]string{"dlq", "replay", "--data-dir", dir}, flags...)...)
		if !strings.HasSuffix(strings.TrimSpace(got), want) {
			t.Errorf("replay %v: %s, want %s", flags, got, want)
		}
	}
	replay(`{"seen":2,"picked":2,"replayed":0,"skipped":{"older":0,"replayed":0,"stored":0},"cut":0,"unreadable":0}`, "--dry-run")
	for attempt := 1; attempt <= 2; attempt++ {
		usher(t, "dlq", "replay", "--data-dir", dir)
		eventually(t, "the same letters again", func() error {
			got := letters(t, dir)
			if len(got) != 2 || got[0].Attempt != attempt || got[0].Offset > 1 || got[1].Attempt != attempt || got[1].Offset > 1 {
				return fmt.Errorf("listed are %+v", got)
			}
			return nil
		})
		rows("['1']\t['INVALID','MALFORMED']") // still poison, still two
	}
	// The producer sends the event that was invalid again, mended.
	if err := writer.Publish(t.Context(), []event.Message{{Topic: event.TopicOutcomes, Key: []byte("c"), Value: []byte(strings.Replace(good, `"1"`, `"2"`, 1))}}); err != nil {
		t.Fatal(err)
	}
	rows("['1','2']\t['INVALID','MALFORMED']")
	if got := letters(t, dir); len(got) != 1 || got[0].Reason != event.ReasonMalformed {
		t.Errorf("listed are %+v, want what is still dead", got)
	}
	replay(`"picked":0,"replayed":0,"skipped":{"older":2,"replayed":0,"stored":1},"cut":0,"unreadable":0}`, "--reason", "INVALID")
	if got := letters(t, dir, "--all"); len(got) != 2 {
		t.Errorf("all are %+v, want two", got)
	}
	if err := writer.Close(); err != nil {
		t.Error(err)
	}
	if err := log.Close(); err != nil {
		t.Error(err)
	}
	p.stop()
}

// usher runs a command to its end and returns what it printed.
func usher(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(binary(), args...).Output()
	if err != nil {
		detail := ""
		if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // exactly what Output returns
			detail = string(exit.Stderr)
		}
		t.Fatalf("usher %s: %v\n%s", strings.Join(args, " "), err, detail)
	}
	return string(out)
}

func letters(t *testing.T, dir string, more ...string) (list []shownLetter) {
	t.Helper()
	for line := range strings.Lines(usher(t, append([]string{"dlq", "list", "--data-dir", dir}, more...)...)) {
		var l shownLetter
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		list = append(list, l)
	}
	return list
}
