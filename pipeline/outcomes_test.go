package pipeline_test

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/usherhq/usher/pipeline/event"
)

// No outcome from Kafka gets lost: each is a row or a dead letter that says why.
func TestOutcomesAreRowsOrDeadLetters(t *testing.T) {
	file, err := os.Open("testdata/outcomes.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	log, sink := newLog(event.TopicOutcomes), &memorySink{}
	var want []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		given, fate, _ := strings.Cut(lines.Text(), "=>")
		offset, payload, _ := strings.Cut(given, " ")
		minutes, err := strconv.Atoi(offset)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Now().UTC().AddDate(0, 0, minutes/1440).Add(time.Duration(minutes%1440) * time.Minute)
		payload = strings.Replace(strings.TrimSpace(payload), "{", `{"account": "a", "source": "s", "time": "`+at.Format(time.RFC3339)+`", `, 1)
		log.append(event.Message{Value: []byte(payload)})
		want = append(want, strings.TrimSpace(fate))
	}
	stop := start(t, quick(), log, sink)
	sink.await(t, int64(len(want)))
	stop()
	rows, dead, _ := sink.all()
	got := map[int64]string{}
	for _, r := range rows {
		got[r.Offset] = "stored"
	}
	for _, d := range dead {
		got[d.Offset] = fmt.Sprint(d.Reason, " ", d.Field)
	}
	for i := range want {
		if !strings.EqualFold(got[int64(i)], want[i]) {
			t.Errorf("line %d: %s, want %s", i+2, got[int64(i)], want[i])
		}
	}
}
