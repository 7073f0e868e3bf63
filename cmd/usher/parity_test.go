package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write docs/parity.md from the parity cases")

const (
	parityFolder = "testdata/parity"
	parityReport = "../../docs/parity.md"
)

// TestParity runs every case of the parity suite over REST against the binary.
// testdata/parity/README.md says how a case is written.
func TestParity(t *testing.T) {
	t.Parallel()
	rows, cases := readParity(t)
	covered(t, rows, cases)
	report(t, rows, cases)

	desk := httptest.NewServer(http.HandlerFunc(backOffice))
	t.Cleanup(desk.Close)
	args := append(free(t.TempDir()), "--set", "pipeline.batch_age=100ms", "--set", "decision.budget=500ms",
		"--set", "training.check=300ms", "--set", "training.max_age=2s",
		"--set", "decision.function_hosts="+strings.TrimPrefix(desk.URL, "http://"))
	p := launch(t, args...)
	t.Cleanup(p.stop) // killed, it would leave the engine writing into a folder that is being removed
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &story{t: t, process: p, values: map[string]string{
				"account": "parity-" + strings.ToLower(c.name), "admin": p.ready.AdminToken, "functions": desk.URL,
				"clickhouse": p.ready.ClickHouseHTTP, "http": "http://" + p.ready.HTTP,
			}}
			s.play(c)
		})
	}
}

// backOffice is the service that function attributes ask: /echo answers its
// query, /fail fails, /slow answers when nobody listens any more.
func backOffice(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/fail":
		http.Error(w, `{"error":"no such customer"}`, http.StatusBadRequest)
	case "/slow":
		<-r.Context().Done()
	default:
		out := map[string]any{}
		for name := range r.URL.Query() {
			out[name] = r.URL.Query().Get(name)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out) // the caller may have gone
	}
}

// parityRow is one line of the feature table.
type parityRow struct {
	number    int
	kind      string // P: parity, B: beyond
	behaviour string
}

// parityCase is one file of the suite.
type parityCase struct {
	name  string // file without its extension
	row   int
	about string
	steps []txtar.File
}

func readParity(t *testing.T) (rows []parityRow, cases []parityCase) {
	t.Helper()
	table, err := os.ReadFile(filepath.Join(parityFolder, "rows.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		n, err := strconv.Atoi(f[0])
		if err != nil || len(f) != 3 {
			t.Fatalf("rows.tsv: %q is not number, kind, behaviour", line)
		}
		rows = append(rows, parityRow{number: n, kind: f[1], behaviour: f[2]})
	}
	files, err := filepath.Glob(filepath.Join(parityFolder, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		row, err := strconv.Atoi(strings.SplitN(name, "-", 2)[0])
		if err != nil || len(archive.Files) == 0 {
			t.Fatalf("%s: the name begins with no row, or there are no steps", file)
		}
		cases = append(cases, parityCase{
			name: name, row: row, steps: archive.Files,
			about: strings.Join(strings.Fields(string(archive.Comment)), " "),
		})
	}
	return rows, cases
}

// covered wants a case for every row and a row for every case.
func covered(t *testing.T, rows []parityRow, cases []parityCase) {
	t.Helper()
	for _, r := range rows {
		if !slices.ContainsFunc(cases, func(c parityCase) bool { return c.row == r.number }) {
			t.Errorf("row %d has no case: %s", r.number, r.behaviour)
		}
	}
	for _, c := range cases {
		if !slices.ContainsFunc(rows, func(r parityRow) bool { return r.number == c.row }) {
			t.Errorf("%s: there is no row %d", c.name, c.row)
		}
	}
}

// report compares docs/parity.md with the suite, or writes it.
func report(t *testing.T, rows []parityRow, cases []parityCase) {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Parity\n\nWhat LivePerson's Conversation Orchestrator does and Usher does too (P), and what answers its limitations (B). Every\n"+
		"row is shown by the cases named beside it: requests over REST against the real binary, with the answers they must get, in\n"+
		"[cmd/usher/testdata/parity](../cmd/usher/testdata/parity). `go test -run TestParity ./cmd/usher` runs them; `-update` writes this page.\n\n"+
		"%d rows, %d cases.\n\n| # | | behaviour | shown by |\n| --- | --- | --- | --- |\n", len(rows), len(cases))
	for _, r := range rows {
		var shown []string
		for _, c := range cases {
			if c.row == r.number {
				shown = append(shown, fmt.Sprintf("[%s](../cmd/usher/%s/%s.txtar) (%d)", c.about, parityFolder, c.name, len(c.steps)))
			}
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s |\n", r.number, r.kind, r.behaviour, strings.Join(shown, "<br>"))
	}
	b.WriteString("\nThe number in brackets counts the steps of the case. Rows that are missing here belong to the engagement controller, the\n" +
		"concierge bot, the learner and the workspace.\n")
	if *update {
		if err := os.WriteFile(parityReport, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if is, err := os.ReadFile(parityReport); err != nil || !bytes.Equal(is, b.Bytes()) {
		t.Errorf("docs/parity.md is not what the suite says (%v): go test -run TestParity ./cmd/usher -update", err)
	}
}

// story plays one case in an account of its own.
type story struct {
	t       *testing.T
	process *process
	values  map[string]string
}

func (s *story) play(c parityCase) {
	s.t.Helper()
	admin := s.process.client(s.values["admin"])
	admin.t = s.t
	admin.must("POST", "/v1/accounts", map[string]any{"account_id": s.values["account"]}, nil)
	var key struct{ Secret string }
	admin.must("POST", "/v1/accounts/"+s.values["account"]+"/tokens", map[string]any{"scopes": []string{"decide"}}, &key)
	s.values["key"] = key.Secret
	for _, file := range c.steps {
		s.values["i"] = "1"
		st, err := s.step(file)
		if err != nil {
			s.t.Fatalf("step %q: %v", file.Name, err)
		}
		run := func() error { return s.run(st) }
		for i := 1; i < st.times; i++ {
			if err := run(); err != nil {
				s.t.Fatalf("step %q, time %d: %v", file.Name, i, err)
			}
			s.values["i"] = strconv.Itoa(i + 1)
			if st, err = s.step(file); err != nil {
				s.t.Fatalf("step %q: %v", file.Name, err)
			}
		}
		if st.eventually {
			eventually(s.t, file.Name, run)
		} else if err := run(); err != nil {
			s.t.Fatalf("step %q: %v", file.Name, err)
		}
	}
}

// parityStep is one request and what must come of it.
type parityStep struct {
	verb, target string
	headers      map[string]string
	body         string
	status       string
	want         string
	saves        map[string]string // variable -> path
	eventually   bool
	times        int // how often it is played
}

func (s *story) step(file txtar.File) (*parityStep, error) {
	name := regexp.MustCompile(`^\d+\.\s*`).ReplaceAllString(file.Name, "")
	verb, target, _ := strings.Cut(name, " ")
	st := &parityStep{verb: verb, saves: map[string]string{}, headers: map[string]string{"Authorization": "Bearer " + s.values["admin"]}}
	if rest, short := strings.CutPrefix(target, "~"); short {
		target = "/v1/accounts/${account}" + rest
	}
	if target = s.expand(target); strings.Contains(target, "${") {
		return nil, fmt.Errorf("%q has an unknown variable", target)
	}
	st.target = target
	into := &st.body
	for line := range strings.Lines(string(file.Data)) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "@eventually":
			st.eventually = true
		case "@times":
			n, err := strconv.Atoi(rest)
			if err != nil {
				return nil, fmt.Errorf("@times %q is no number", rest)
			}
			st.times = n
		case "@maven":
			delete(st.headers, "Authorization")
			st.headers["maven-api-key"] = s.values["key"]
		case "@header":
			key, value, _ := strings.Cut(rest, ":")
			st.headers[key] = s.expand(strings.TrimSpace(value))
		case "@save":
			variable, path, _ := strings.Cut(rest, " ")
			st.saves[variable] = path
		case ">>>":
			st.status, into = rest, &st.want
		default:
			*into += line
		}
	}
	if st.status == "" {
		return nil, fmt.Errorf("says nothing about the answer: a line \">>> status\" is missing")
	}
	st.body, st.want = s.expand(st.body), s.expand(st.want)
	return st, nil
}

// moment is ${now ZONE OFFSET LAYOUT} and ${day ZONE OFFSET}.
var moment = regexp.MustCompile(`\$\{(now|day) (\S+) (\S+?)(?: ([^}]+))?\}`)

// repeated is ${TEXT*COUNT}.
var repeated = regexp.MustCompile(`\$\{(\w)\*(\d+)\}`)

// expand fills ${variables} in; an unknown one stays.
func (s *story) expand(text string) string {
	text = repeated.ReplaceAllStringFunc(text, func(m string) string {
		f := repeated.FindStringSubmatch(m)
		n, err := strconv.Atoi(f[2])
		if err != nil {
			s.t.Fatal(err)
		}
		return strings.Repeat(f[1], n)
	})
	for name, value := range s.values {
		text = strings.ReplaceAll(text, "${"+name+"}", value)
	}
	return moment.ReplaceAllStringFunc(text, func(m string) string {
		f := moment.FindStringSubmatch(m)
		zone, err := time.LoadLocation(f[2])
		offset, err2 := time.ParseDuration(f[3])
		if err != nil || err2 != nil {
			s.t.Fatalf("%s: %v %v", m, err, err2)
		}
		at := time.Now().In(zone).Add(offset)
		if f[1] == "day" {
			return strings.ToUpper(at.Format("Mon"))
		}
		return at.Format(f[4])
	})
}

func (s *story) run(st *parityStep) error {
	switch st.verb {
	case "SQL":
		got, err := query(s.t.Context(), s.values["clickhouse"], st.body)
		if err == nil && got != strings.TrimSpace(st.want) {
			err = fmt.Errorf("the answer is\n%s\nwant\n%s", got, st.want)
		}
		return err
	case "RUN":
		return s.command(st)
	case "FILE":
		s.values["file"] = filepath.Join(s.t.TempDir(), st.target)
		return os.WriteFile(s.values["file"], []byte(st.body), 0o600)
	}
	status, header, text, err := s.call(st)
	if err != nil {
		return err
	}
	if !slices.Contains(strings.Split(st.status, "|"), strconv.Itoa(status)) {
		return fmt.Errorf("the status is %d, want %s: %s", status, st.status, text)
	}
	var got any
	if len(bytes.TrimSpace(text)) > 0 {
		if err := json.Unmarshal(text, &got); err != nil {
			return fmt.Errorf("the answer is no JSON: %s", text)
		}
	}
	if strings.TrimSpace(st.want) != "" {
		var want any
		if err := json.Unmarshal([]byte(st.want), &want); err != nil {
			return fmt.Errorf("what is wanted is no JSON: %w: %s", err, st.want)
		}
		if err := matches(want, got, "$"); err != nil {
			return fmt.Errorf("%w; the answer is %s", err, text)
		}
	}
	return s.save(st, header, got)
}

func (s *story) call(st *parityStep) (int, http.Header, []byte, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	var body io.Reader = http.NoBody
	if strings.TrimSpace(st.body) != "" {
		body = strings.NewReader(st.body)
	}
	req, err := http.NewRequestWithContext(ctx, st.verb, s.values["http"]+st.target, body)
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	for key, value := range st.headers {
		if value != "" {
			req.Header.Set(key, value)
		} else {
			req.Header.Del(key)
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, text, err
}

// command runs the binary with the words of the target; the status is its exit code,
// and every line wanted must stand in what it prints.
func (s *story) command(st *parityStep) error {
	cmd := exec.CommandContext(s.t.Context(), binary(), strings.Fields(st.target)...)
	cmd.Dir = s.t.TempDir()
	cmd.Env = append(os.Environ(), "USHER_TOKEN="+s.values["admin"], "USHER_URL="+s.values["http"])
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		return err
	}
	if code := strconv.Itoa(cmd.ProcessState.ExitCode()); code != st.status {
		return fmt.Errorf("the exit code is %s, want %s: %s", code, st.status, out)
	}
	for line := range strings.Lines(st.want) {
		if line = strings.TrimSpace(line); !strings.Contains(string(out), line) {
			return fmt.Errorf("%q is not in the output: %s", line, out)
		}
	}
	return nil
}

func (s *story) save(st *parityStep, header http.Header, got any) error {
	for variable, path := range st.saves {
		if name, ok := strings.CutPrefix(path, "header:"); ok {
			s.values[variable] = header.Get(name)
			continue
		}
		at := got
		for part := range strings.SplitSeq(path, ".") {
			if list, ok := at.([]any); ok {
				n, err := strconv.Atoi(part)
				if err != nil || n >= len(list) {
					return fmt.Errorf("save %s: there is no element %q", path, part)
				}
				at = list[n]
				continue
			}
			object, _ := at.(map[string]any)
			at = object[part]
		}
		if at == nil {
			return fmt.Errorf("save: there is no %s in %v", path, got)
		}
		if text, ok := at.(string); ok {
			s.values[variable] = text
		} else {
			text, err := json.Marshal(at)
			if err != nil {
				return err
			}
			s.values[variable] = string(text)
		}
	}
	return nil
}

// matches holds an answer against what is wanted: an object wants its fields and
// minds no others, a list wants the same elements in the same order or, after
// "$contains", each of its elements somewhere. "$any", "$absent" and "$like TEXT"
// stand for a value.
func matches(want, got any, path string) error {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is %v, want an object", path, got)
		}
		for key, value := range w {
			one, there := g[key]
			if value == "$absent" {
				if there && one != nil {
					return fmt.Errorf("%s.%s is %v, want nothing", path, key, one)
				}
				continue
			}
			if !there && value != nil {
				return fmt.Errorf("%s.%s is missing", path, key)
			}
			if err := matches(value, one, path+"."+key); err != nil {
				return err
			}
		}
		return nil
	case []any:
		return matchesList(w, got, path)
	case string:
		if w == "$any" {
			return nil
		}
		if part, ok := strings.CutPrefix(w, "$like "); ok {
			if text := fmt.Sprint(got); !strings.Contains(text, part) {
				return fmt.Errorf("%s is %v, want %q in it", path, got, part)
			}
			return nil
		}
	}
	if want != got {
		return fmt.Errorf("%s is %v, want %v", path, got, want)
	}
	return nil
}

func matchesList(want []any, got any, path string) error {
	g, ok := got.([]any)
	if !ok && got != nil {
		return fmt.Errorf("%s is %v, want a list", path, got)
	}
	if len(want) > 0 && want[0] == "$contains" {
		for _, w := range want[1:] {
			if !slices.ContainsFunc(g, func(one any) bool { return matches(w, one, path) == nil }) {
				return fmt.Errorf("%s has no %v", path, w)
			}
		}
		return nil
	}
	if len(g) != len(want) {
		return fmt.Errorf("%s has %d elements, want %d", path, len(g), len(want))
	}
	for i := range want {
		if err := matches(want[i], g[i], fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
	}
	return nil
}
