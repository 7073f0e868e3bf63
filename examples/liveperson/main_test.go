package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestAct prints each action in its order.
func TestAct(t *testing.T) {
	for answer, want := range map[string]string{
		`{"rule":null,"noMatchReason":"NO_MATCHED_RULES"}`: "no rule (NO_MATCHED_RULES): the fallback skill takes over\n",
		`{"nextActionId":"d-1","rule":{"name":"VIP","actions":[{"type":"SEND_MESSAGE","payload":{"text":"hi"}},
			{"type":"TRANSFER_TO_AGENT","payload":{"agentId":"7","fallbackSkillId":"9"}},{"type":"TRANSFER_TO_SKILL","payload":{"skillId":"9"}},{"type":"CLOSE"}]}}`: "rule VIP, decision d-1\n" +
			"say: hi\ntransfer to agent 7, else to skill 9\ntransfer to skill 9\nCLOSE is not for this bot\n",
	} {
		next := &nextActions{}
		if err := json.Unmarshal([]byte(answer), next); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := act(&out, next); err != nil || out.String() != want {
			t.Errorf("act(%s) = %q, %v", answer, out.String(), err)
		}
	}
}

// TestRetries: a call that the network lost is made again, an answer is final.
func TestRetries(t *testing.T) {
	var calls, lose atomic.Int64
	ids := make(chan string, 10)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		ids <- r.Header.Get("X-REQUEST-ID")
		if lose.Add(-1) >= 0 {
			panic(http.ErrAbortHandler)
		}
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("maven-api-key") != "key" || r.URL.EscapedPath() != "/v1/account/acme/bot/a%2Fb/properties" || string(body) != `{"x":1}` {
			t.Errorf("%s %s %s %v", r.Method, r.URL, body, r.Header)
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer web.Close()
	c := &client{host: web.URL, account: "acme", key: "key", deadline: time.Second, pause: time.Millisecond}
	lose.Store(1)
	_, err := c.set(t.Context(), "bot", "a/b", map[string]any{"x": 1})
	if err == nil || !strings.HasPrefix(err.Error(), "403") || calls.Load() != 2 {
		t.Errorf("set = %v after %d calls", err, calls.Load())
	}
	if first, second := <-ids, <-ids; first == second {
		t.Error("two attempts share a request id")
	}
	calls.Store(0)
	lose.Store(5)
	if _, err := c.set(t.Context(), "bot", "a/b", map[string]any{"x": 1}); err == nil || calls.Load() != attempts {
		t.Errorf("set = %v after %d calls", err, calls.Load())
	}
}

// TestNeedsItsSettings says what to set.
func TestNeedsItsSettings(t *testing.T) {
	if err := run(t.Context(), nil, func(string) string { return "" }, io.Discard); err == nil || !strings.Contains(err.Error(), "LP_KEY") {
		t.Errorf("run without settings = %v", err)
	}
}
