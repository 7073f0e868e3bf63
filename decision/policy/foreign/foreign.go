package foreign

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
)

// The formats that [Read] knows.
const (
	FormatUsher      = "usher"
	FormatLivePerson = "liveperson"
	FormatTaskRouter = "taskrouter"
	FormatConnect    = "connect"
)

// Formats lists every format in documentation order.
func Formats() []string {
	return []string{FormatUsher, FormatLivePerson, FormatTaskRouter, FormatConnect}
}

// Codes of problems that only an import has; the others are those of package
// policy.
const (
	CodeNotSayable      = "NOT_SAYABLE"      // has no counterpart and cannot be left out
	CodeNotTaken        = "NOT_TAKEN"        // has no counterpart and is left out
	CodeApproximated    = "APPROXIMATED"     // said nearly; the description tells the difference
	CodeConverted       = "CONVERTED"        // a value of another type than the operator takes
	CodeReversed        = "CONTAINS"         // LivePerson's CONTAINS, the reverse of common use
	CodePastMidnight    = "PAST_MIDNIGHT"    // a range of times that ends before it begins
	CodeCandidates      = "CANDIDATES"       // works only with what the caller must bring
	CodeNotACondition   = "NOT_A_CONDITION"  // a value where a condition is expected
	CodeUnknownFunction = "UNKNOWN_FUNCTION" // none of the expression language's functions
	CodeBadDate         = "BAD_DATE"         // no date
	CodeRenamed         = "RENAMED"          // the id had to be made up
	CodeConstant        = "CONSTANT"         // a condition that holds always, or never
)

// MaxDocument is the number of bytes that [Read] takes at the most.
const MaxDocument = 32 << 20

// Result is what a document holds.
type Result struct {
	// Format is the one that was named or found out.
	Format string
	// Policies are in the order of the document, each checked by [policy.Parse] and
	// with an id of its own. Policies with an error are not among them.
	Policies []*policy.Policy
	// Problems are in the order of the document. Their paths are places in it, such
	// as policies[2].conditions[0].type.
	Problems []policy.Problem
	// Silent holds the ids of the policies whose document does not say whether they
	// are enabled. In Policies they are.
	Silent map[string]bool
}

// Errors counts the problems that keep a policy out of the result.
func (r *Result) Errors() (n int) {
	for i := range r.Problems {
		if r.Problems[i].Severity == policy.Error {
			n++
		}
	}
	return n
}

// Read translates a JSON document of one of [Formats], which it finds out when
// format is empty. The error is an Invalid *fault.Error for a document that cannot
// be read at all; whatever is wrong inside is in the result's problems. It is safe
// for concurrent use.
func Read(format string, document []byte) (Result, error) {
	return ReadFor(format, document, nil)
}

// ReadFor is [Read] that also tells what an account does not know of the policies
// that have errors anyway, so that the faults of both kinds come out together. The
// policies of the result are left to [policy.Check].
func ReadFor(format string, document []byte, env *policy.Environment) (Result, error) {
	var check fault.Check
	format = strings.ToLower(strings.TrimSpace(format))
	if format != "" && !slices.Contains(Formats(), format) {
		check.Add("format", "%q is none of %s", format, strings.Join(Formats(), ", "))
	}
	if len(document) > MaxDocument {
		check.Add("document", "has %d bytes; the limit is %d", len(document), MaxDocument)
	}
	if err := check.Err("the document cannot be read"); err != nil {
		return Result{}, err
	}
	r := newReader()
	r.env = env
	tree, err := readTree(document, "", &r.sink)
	if err != nil {
		check.Add("document", "is not JSON: %s", err)
		return Result{}, check.Err("the document cannot be read")
	}
	if format == "" {
		if format = detect(tree); format == "" {
			check.Add("format", "cannot be found out; name one of %s", strings.Join(Formats(), ", "))
			return Result{}, check.Err("the document cannot be read")
		}
	}
	r.read(format, tree)
	Order(r.policies)
	return Result{Format: format, Policies: r.policies, Problems: r.problems, Silent: r.silent}, nil
}

// Order makes the ranks of policies say the order in which they stand. Ranks that
// say so already are kept.
func Order(policies []*policy.Policy) {
	ordered := true
	for i := 1; i < len(policies); i++ {
		// Equal ranks are ordered by name, so they say something else.
		ordered = ordered && policies[i-1].Rank < policies[i].Rank
	}
	if ordered {
		return
	}
	for i, p := range policies {
		p.Rank = float64(i + 1)
	}
}

// detect finds out the format by the fields that only it has.
func detect(tree any) string {
	fields, ok := tree.(map[string]any)
	if !ok {
		list, _ := tree.([]any)
		if len(list) == 0 {
			return ""
		}
		return detect(list[0])
	}
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return fields[n] != nil })
	}
	switch {
	case has("task_routing", "configuration"):
		return FormatTaskRouter
	case has("RoutingCriteria", "Steps"):
		return FormatConnect
	case has("effect", "when"):
		return FormatUsher
	case has("conditions", "actions", "expression"):
		return FormatLivePerson
	case has("rules"):
		return FormatLivePerson
	case has("policies"):
		if list, isList := fields["policies"].([]any); isList && len(list) == 0 {
			return FormatUsher
		}
		return detect(fields["policies"])
	}
	return ""
}

// reader translates one document.
type reader struct {
	sink
	policies []*policy.Policy
	ids      map[string]bool
	silent   map[string]bool
	format   string
	env      *policy.Environment
	part     bool // of a policy only: without conditions there may be others
}

func newReader() *reader { return &reader{ids: map[string]bool{}, silent: map[string]bool{}} }

func (r *reader) read(format string, tree any) {
	r.format = format
	switch format {
	case FormatUsher:
		r.usher(tree)
	case FormatLivePerson:
		r.livePerson(tree)
	case FormatTaskRouter:
		r.taskRouter(tree)
	case FormatConnect:
		r.connect(tree)
	}
}

// each calls do for every policy of a single one, a list, or an object that holds
// a list under one of the names.
func (r *reader) each(tree any, do func(v any, path string), names ...string) {
	path := ""
	if fields, ok := tree.(map[string]any); ok {
		at := slices.IndexFunc(names, func(n string) bool { return fields[n] != nil })
		if at < 0 {
			do(tree, "")
			return
		}
		o := asObject(tree, "", &r.sink)
		tree, path, _ = o.take(names[at])
		if r.format == FormatUsher {
			o.known = append(o.known, "account", "revision", "version", "kind")
		}
		o.done()
	}
	list, ok := tree.([]any)
	if !ok {
		r.err(path, policy.CodeInvalid, "is %s, must be a policy or a list of policies", nameOf(tree))
	}
	for i, v := range list {
		do(v, index(path, i))
	}
	r.policy = ""
}

// keep parses a policy document and adds the policy to the result. What could not
// be translated has a stand-in in it that has no fault of its own, so that the
// rest is checked too. back turns a path of the canonical document into one of the
// source.
func (r *reader) keep(d doc, path string, errorsBefore int, back func(string) string) {
	data, err := json.Marshal(d)
	if err != nil {
		r.err(path, policy.CodeInvalid, "cannot be written as JSON: %s", err)
		return
	}
	p, err := policy.Parse(data)
	refused := err != nil || r.errors > errorsBefore
	if refused && r.env != nil {
		_, err = policy.ParseFor(data, r.env)
	}
	for _, problem := range policy.ProblemsOf(err) {
		r.add(problem.Severity, join(path, back(problem.Path)), problem.Code, problem.Description)
	}
	if refused {
		return
	}
	if _, said := d["enabled"]; !said {
		r.silent[p.Name] = true
	}
	r.policies = append(r.policies, p)
}

func asIs(path string) string { return path }

// usher reads Usher's own documents.
func (r *reader) usher(tree any) {
	r.each(tree, func(v any, path string) {
		fields, ok := v.(map[string]any)
		if !ok {
			r.err(path, policy.CodeInvalid, "is %s, must be a policy", nameOf(v))
			return
		}
		name, _ := fields["name"].(string)
		// The API's documents hold the whole resource name.
		if _, id, found := strings.Cut(name, "/policies/"); found {
			name = id
		}
		d := doc{}
		for key, value := range fields {
			if !outputOnly(key) {
				d[key] = value
			}
		}
		r.policy = name
		title, _ := fields["display_name"].(string)
		before := r.errors
		d["name"] = r.claim(name, title, path, name == policy.DefaultName)
		r.keep(d, path, before, asIs)
	}, "policies")
	slices.SortStableFunc(r.policies, func(a, b *policy.Policy) int {
		return compareNumbers(a.Rank, b.Rank)
	})
}

// outputOnly lists the fields that the API answers beside the document.
func outputOnly(key string) bool {
	switch key {
	case "position", "revision", "etag", "update_time", "updateTime", "author", "change_reason", "changeReason", "warnings", "displayName":
		return true
	}
	return false
}

// Policy translates LivePerson's grammar as it may stand in a policy of the API:
// its conditions, its actions and its exception, each raw JSON or nil. What was
// not given is zero. Paths of the problems begin with conditions, actions and
// exception; when one of them is an error the rest is zero. It is safe for
// concurrent use.
func Policy(conditions, actions, exception json.RawMessage) (*policy.Condition, policy.Effect, *policy.Exception, []policy.Problem) {
	r := newReader()
	r.part = len(conditions) == 0
	fields := map[string]any{}
	for _, f := range []struct {
		name string
		raw  json.RawMessage
	}{{"conditions", conditions}, {"actions", actions}, {"exception", exception}} {
		if len(f.raw) == 0 {
			continue
		}
		tree, err := readTree(f.raw, f.name, &r.sink)
		if err != nil {
			r.err(f.name, policy.CodeInvalid, "is not JSON: %s", err)
		}
		fields[f.name] = tree
	}
	silentActions := fields["actions"] == nil
	if silentActions {
		// A document needs an effect to be checked; this one is not answered.
		fields["actions"] = []any{map[string]any{"type": "CLOSE"}}
	}
	r.livePersonPolicy(fields, "")
	for i := range r.problems {
		r.problems[i].Policy = ""
	}
	if len(r.policies) == 0 || r.errors > 0 {
		return nil, policy.Effect{}, nil, r.problems
	}
	p := r.policies[0]
	if silentActions {
		p.Effect = policy.Effect{}
	}
	return p.When, p.Effect, p.Exception, r.problems
}
