package arch

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// stages orders the top-level folders; the two of rank 0 carry no domain word.
var stages = map[string]int{
	"proto": 0, "internal": 0, "pipeline": 1, "analytics": 2, "model": 3, "decision": 4, "cmd": 5,
}

// never lists what a folder must not reach, even through others.
var never = []struct {
	from, to string
	exact    bool // from means this package alone, not those below it
	advice   string
}{
	{from: "decision", to: "analytics", advice: "declare an interface in decision and let cmd wire the reader"},
	{from: "decision", to: "model/trainer", advice: "a decision process loads artifacts, it does not fit them"},
	{from: "decision", to: "pipeline/kafka", advice: "take a pipeline.Publisher and let cmd wire the writer"},
	{from: "model", exact: true, to: "*", advice: "training and serving share this package: it stands alone"},
	{from: "model/trainer", to: "analytics", advice: "declare a row source in model/trainer and let cmd adapt the reader"},
}

// homes says which packages may import a vendor library. The longest prefix of
// the import path counts. A home ending in /... includes the packages below it,
// */x means every package called x, and ... means everywhere.
var homes = map[string][]string{
	"github.com/segmentio/kafka-go":             {"pipeline/kafka/..."},
	"github.com/twmb/franz-go":                  {"pipeline/kafka/embedded"},
	"github.com/ClickHouse":                     {"analytics/clickhouse/..."},
	"github.com/ebitengine/purego":              {"analytics/clickhouse/embedded"},
	"github.com/sjwhitworth/golearn":            {"model/trainer/..."},
	"gonum.org/v1/gonum":                        {"model/..."},
	"cel.dev":                                   {"decision/policy"},
	"github.com/cockroachdb/pebble":             {"decision/contextstore/..."},
	"github.com/redis/go-redis":                 {"decision/contextstore/..."},
	"modernc.org/quickjs":                       {"decision/function/..."},
	"github.com/sony/gobreaker":                 {"decision/function/..."},
	"github.com/santhosh-tekuri/jsonschema":     {"cmd/..."},
	"github.com/grpc-ecosystem/grpc-gateway":    {"internal/rpc", "proto/gen/..."},
	"google.golang.org/grpc":                    {"internal/rpc", "*/server", "proto/gen/...", "cmd/..."},
	"google.golang.org/genproto/googleapis/rpc": {"internal/rpc"},
	"google.golang.org/genproto/googleapis/api": {"proto/gen/...", "internal/rpc"},
	"google.golang.org/protobuf":                {"pipeline/event", "internal/rpc", "*/server", "proto/gen/...", "cmd/..."},
	"github.com/prometheus":                     {"..."}, // where a metric may be made is a law of its own
	"go.opentelemetry.io":                       {"internal/telemetry", "internal/rpc", "*/server", "cmd/..."},
	"github.com/spf13":                          {"cmd/..."},
	"github.com/knadh/koanf":                    {"cmd/..."},
	"github.com/invopop/jsonschema":             {"cmd/..."},
	"go.yaml.in/yaml":                           {"cmd/..."},
	"github.com/schollz/progressbar":            {"cmd/..."},
	"github.com/google/uuid":                    {"..."},
	"github.com/go-faster/jx":                   {"pipeline/event"},
	"github.com/cespare/xxhash":                 {"..."},
	"golang.org/x/sync":                         {"..."},
	"golang.org/x/term":                         {"cmd/..."},
	"golang.org/x/sys":                          {"..."},
	"golang.org/x/time":                         {"..."},
	// Kits for tests: seen by test files and by packages whose name ends in test.
	"go.uber.org/goleak":              nil,
	"pgregory.net/rapid":              nil,
	"github.com/google/go-cmp":        nil,
	"github.com/rogpeppe/go-internal": nil,
	"golang.org/x/tools":              nil,
}

// metricMakers are the beginnings of the calls that make a metric.
var metricMakers = []string{
	"prometheus.NewCounter", "prometheus.NewGauge", "prometheus.NewHistogram", "prometheus.NewSummary", "prometheus.NewDesc", "promauto.",
}

// sightOfGen lists who may import proto/gen, in the notation of homes.
var sightOfGen = []string{"proto/gen/...", "pipeline/event", "*/server", "internal/rpc", "cmd/..."}

func importsPointLeft(t *Tree) (found []Finding) {
	for pkg, f := range t.files {
		from, ranked := stages[top(pkg.Dir)]
		for _, imp := range f.Imports {
			dir, ours := t.own(imp.Path)
			if !ours || top(dir) == top(pkg.Dir) {
				continue
			}
			to, known := stages[top(dir)]
			switch {
			case !known:
				found = append(found, Finding{f.Path, imp.Line, fmt.Sprintf("imports %s, which is no stage: move it under one of proto, internal, pipeline, analytics, model, decision", dir)})
			case !ranked:
				found = append(found, Finding{f.Path, imp.Line, fmt.Sprintf("%s imports %s: a folder outside the stages imports none of them; speak the public API", top(pkg.Dir), dir)})
			case to > from || (to == from && top(dir) != "internal" && top(dir) != "proto"):
				found = append(found, Finding{f.Path, imp.Line, fmt.Sprintf("%s imports %s, which stands to its right: declare a small interface here and let cmd wire the other side", pkg.Dir, dir)})
			}
		}
	}
	return found
}

func outOfReach(t *Tree) (found []Finding) {
	for _, dir := range t.dirs() {
		reach := t.reach(dir)
		for _, rule := range never {
			if dir != rule.from && (rule.exact || !under(dir, rule.from)) {
				continue
			}
			for _, to := range sortedKeys(reach) {
				if rule.to == "*" || under(to, rule.to) {
					found = append(found, Finding{dir, 0, fmt.Sprintf("reaches %s by %s: %s", to, strings.Join(reach[to], " -> "), rule.advice)})
				}
			}
		}
		for _, to := range sortedKeys(reach) {
			if path.Base(to) == "embedded" && top(dir) != "cmd" && !testKit(dir) {
				found = append(found, Finding{dir, 0, fmt.Sprintf("reaches %s by %s: an embedded engine is started by cmd and handed in as an address", to, strings.Join(reach[to], " -> "))})
			}
		}
	}
	return found
}

// reach returns the packages of this module that dir imports, directly or not,
// each with the path of imports that leads there. Tests do not count.
func (t *Tree) reach(dir string) map[string][]string {
	reach := map[string][]string{}
	queue := [][]string{{dir}}
	for len(queue) > 0 {
		chain := queue[0]
		queue = queue[1:]
		for _, next := range t.direct(chain[len(chain)-1]) {
			if next == dir || reach[next] != nil {
				continue
			}
			reach[next] = append(slices.Clone(chain), next)
			queue = append(queue, reach[next])
		}
	}
	return reach
}

// direct returns the packages of this module that dir's product files import.
func (t *Tree) direct(dir string) (dirs []string) {
	pkg := t.Packages[dir]
	if pkg == nil {
		return nil
	}
	for _, f := range pkg.Files {
		if f.Test {
			continue
		}
		for _, imp := range f.Imports {
			if d, ours := t.own(imp.Path); ours && !slices.Contains(dirs, d) {
				dirs = append(dirs, d)
			}
		}
	}
	slices.Sort(dirs)
	return dirs
}

func vendorHomes(t *Tree) (found []Finding) {
	for _, dir := range t.dirs() {
		for _, f := range t.Packages[dir].Files {
			if f.Test || testKit(dir) {
				continue
			}
			for _, imp := range f.Imports {
				if msg := vendorFault(t, dir, imp.Path); msg != "" {
					found = append(found, Finding{f.Path, imp.Line, msg})
				}
			}
		}
	}
	return found
}

func vendorFault(t *Tree, dir, imp string) string {
	if _, ours := t.own(imp); ours || !strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
		return ""
	}
	lib := longestPrefix(homes, imp)
	switch allowed, listed := homes[lib]; {
	case !listed:
		return fmt.Sprintf("imports %s, which has no home: choose one package for it in internal/arch/imports.go, or do without", imp)
	case len(allowed) == 0:
		return fmt.Sprintf("imports %s, a kit for tests: move this code into a _test.go file or a package whose name ends in test", imp)
	case !admits(allowed, dir):
		return fmt.Sprintf("imports %s, whose home is %s: call that package instead", imp, strings.Join(allowed, ", "))
	}
	return ""
}

func metricsInOneFile(t *Tree) (found []Finding) {
	for pkg, f := range t.files {
		if path.Base(f.Path) == "metrics.go" || under(pkg.Dir, "internal/telemetry") || testKit(pkg.Dir) {
			continue
		}
		for call := range calls(f) {
			if name := callee(call.Fun); slices.ContainsFunc(metricMakers, func(p string) bool { return strings.HasPrefix(name, p) }) {
				found = append(found, Finding{f.Path, t.line(call), fmt.Sprintf("calls %s: make the metric in metrics.go and use it here", name)})
			}
		}
	}
	return found
}

func generatedCode(t *Tree) (found []Finding) {
	for pkg, f := range t.files {
		for _, imp := range f.Imports {
			if dir, ours := t.own(imp.Path); ours && under(dir, "proto/gen") && !admits(sightOfGen, pkg.Dir) && !testKit(pkg.Dir) {
				found = append(found, Finding{f.Path, imp.Line, fmt.Sprintf("%s imports %s: take the plain structs of pipeline/event or of your own package; codecs and servers translate", pkg.Dir, dir)})
			}
		}
	}
	return found
}

// admits says whether a package is among the homes.
func admits(homes []string, dir string) bool {
	return slices.ContainsFunc(homes, func(home string) bool {
		if home == "..." {
			return true
		}
		if root, ok := strings.CutSuffix(home, "/..."); ok {
			return under(dir, root)
		}
		if name, ok := strings.CutPrefix(home, "*/"); ok {
			return path.Base(dir) == name
		}
		return dir == home
	})
}

// longestPrefix returns the longest key that is imp or a parent path of it.
func longestPrefix[V any](m map[string]V, imp string) (best string) {
	for key := range m {
		if under(imp, key) && len(key) > len(best) {
			best = key
		}
	}
	return best
}

// top is the first element of a folder path.
func top(dir string) string {
	first, _, _ := strings.Cut(dir, "/")
	return first
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
