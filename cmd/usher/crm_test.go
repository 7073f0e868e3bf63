package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCRM plays examples/crm: the service and the documents that its README puts
// in, against the binary.
func TestCRM(t *testing.T) {
	t.Parallel()
	crm, stopCRM := startCRM(t)
	p := launch(t, append(free(t.TempDir()), "--set", "decision.function_hosts="+strings.TrimPrefix(crm, "http://"),
		"--set", "decision.budget=2s")...)
	c := p.client(p.ready.AdminToken)
	const account = "/v1/accounts/default/"
	c.must("PUT", account+"functions/crm", document(t, "function.json", "http://127.0.0.1:7070", crm, "0.040s", "1s"), nil)
	c.must("PUT", account+"attributes/custom.crm_tier", document(t, "attribute.json"), nil)
	c.must("POST", account+"policies", document(t, "policy.json"), nil)

	var called map[string]any
	c.must("POST", account+"functions/crm:call", map[string]any{"arguments": map[string]any{"id": "c-1001"}}, &called)
	if got := fmt.Sprint(called["result"]); !strings.Contains(got, "tier:gold") {
		t.Errorf("the function answers %v", called)
	}
	decide := func(consumer string) (target string, call string, text string) {
		t.Helper()
		var answer struct {
			Actions     []struct{ Target string }
			Explanation json.RawMessage
		}
		c.must("POST", account+"nextActions", map[string]any{
			"consumer_id": consumer, "explain": true, "candidates": []any{map[string]any{"type": "TRANSFER_TO_SKILL", "target": "general"}},
		}, &answer)
		var record struct {
			Calls []struct{ Function, Attribute, Result, Detail string }
		}
		if err := json.Unmarshal(answer.Explanation, &record); err != nil || len(record.Calls) != 1 || len(answer.Actions) == 0 {
			t.Fatalf("%s: %v in %s", consumer, err, answer.Explanation)
		}
		one := record.Calls[0]
		return answer.Actions[0].Target, strings.TrimSpace(one.Function + " " + one.Attribute + " " + one.Result + " " + one.Detail), string(answer.Explanation)
	}
	check := func(consumer, wantTarget, wantCall string) {
		t.Helper()
		target, call, text := decide(consumer)
		if target != wantTarget || !strings.HasPrefix(call, "crm custom.crm_tier "+wantCall) {
			t.Errorf("%s goes to %s with call %q, want %s and %s", consumer, target, call, wantTarget, wantCall)
		}
		if strings.Contains(text, "crm-demo-key") {
			t.Errorf("%s: the key is in the record", consumer)
		}
	}
	check("c-1001", "gold-desk", "OK")
	check("c-1001", "gold-desk", "CACHED")
	check("c-1002", "general", "OK")
	check("c-9999", "general", "ERROR answered 404")
	stopCRM()
	check("c-1001", "gold-desk", "CACHED")
	check("c-1003", "general", "ERROR cannot be reached")
	if strings.Contains(p.out.String(), "crm-demo-key") {
		t.Error("the key is in the log")
	}
	p.stop()
}

// document reads a document of the example, with texts replaced.
func document(t *testing.T, name string, replace ...string) any {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../examples/crm", name))
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal([]byte(strings.NewReplacer(replace...).Replace(string(data))), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// startCRM builds and starts the example's service.
func startCRM(t *testing.T) (address string, stop func()) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "crm")
	if out, err := exec.Command("go", "build", "-o", path, "../../examples/crm").CombinedOutput(); err != nil {
		t.Fatalf("build examples/crm: %v\n%s", err, out)
	}
	cmd := exec.Command(path, "-addr", "127.0.0.1:0")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = cmd.Process.Kill() // it may be gone already
			_ = cmd.Wait()         // it was killed
		}
	}
	t.Cleanup(stop)
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() {
		t.Fatal("examples/crm does not say where it listens")
	}
	return lines.Text(), stop
}
