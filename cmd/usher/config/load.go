package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"github.com/usherhq/usher/internal/fault"
)

// FileVariable names the environment variable that gives the file's path.
const FileVariable = EnvPrefix + "CONFIG"

// TokenVariable is where people keep a token for curl, as docs/api.md shows. It is
// no part of the configuration and must not trip it.
const TokenVariable = EnvPrefix + "TOKEN"

// ServerVariable and AccountVariable say where a server's REST API is and which
// account the tools that call it work on. Like TokenVariable they are for tools.
const (
	ServerVariable  = EnvPrefix + "URL"
	AccountVariable = EnvPrefix + "ACCOUNT"
)

// Inputs is where values come from, beside the defaults.
type Inputs struct {
	File    string         // path of a YAML file; empty reads none
	Environ []string       // KEY=value, as os.Environ
	Flags   *pflag.FlagSet // only the flags that were given count; may be nil
	Set     []string       // key=value, stronger than flags
}

// Load makes the effective configuration. The error is a [fault.Error] of kind
// Invalid that lists every fault with key and source.
func Load(in Inputs) (*Config, error) {
	cfg := Default()
	l := &loader{cfg: &cfg, sources: map[string]string{}, keys: map[string]Key{}}
	for _, k := range Keys() {
		l.keys[k.Path] = k
	}
	if in.File != "" {
		l.file(in.File)
	}
	l.environment(in.Environ)
	l.flags(in.Flags)
	l.assignments(in.Set)
	l.validate()
	if err := l.check.Err("the configuration is not valid"); err != nil {
		return nil, err
	}
	return &cfg, nil
}

// loader applies one layer after the other and gathers the faults.
type loader struct {
	cfg     *Config
	keys    map[string]Key
	sources map[string]string // key -> the layer that set it last
	check   fault.Check
}

func (l *loader) apply(path string, value any, source string) {
	if err := l.keys[path].set(l.cfg, value); err != nil {
		l.check.Add(path, "%v (%s)", err, source)
	}
	l.sources[path] = source
}

func (l *loader) file(path string) {
	k := koanf.New(".")
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			l.check.Add("--config", "no file %q", path)
			return
		}
		l.check.Add("--config", "file %q: %v", path, err)
		return
	}
	values := k.All()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		source := "file " + path
		if _, known := l.keys[name]; known {
			l.apply(name, values[name], source)
			continue
		}
		if !l.isSection(name) || !isEmpty(values[name]) {
			l.unknown(name, slices.Collect(maps.Keys(l.keys)), source)
		}
	}
}

// isSection tells whether name holds keys; a section without any is legal.
func (l *loader) isSection(name string) bool {
	for path := range l.keys {
		if strings.HasPrefix(path, name+".") {
			return true
		}
	}
	return false
}

func isEmpty(value any) bool {
	m, isMap := value.(map[string]any)
	return value == nil || (isMap && len(m) == 0)
}

func (l *loader) environment(environ []string) {
	byEnv := make(map[string]string, len(l.keys))
	for path, k := range l.keys {
		byEnv[k.Env] = path
	}
	k := koanf.New("\x00") // names are looked up whole, nothing is nested
	provider := env.Provider("\x00", env.Opt{Prefix: EnvPrefix, EnvironFunc: func() []string { return environ }})
	if err := k.Load(provider, nil); err != nil {
		l.check.Add("environment", "%v", err)
		return
	}
	values := k.All()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		source := "environment variable " + name
		switch path, known := byEnv[name]; {
		case known:
			l.apply(path, values[name], source)
		case !slices.Contains([]string{FileVariable, TokenVariable, ServerVariable, AccountVariable}, name):
			l.unknown(name, slices.Collect(maps.Keys(byEnv)), "environment")
		}
	}
}

func (l *loader) flags(set *pflag.FlagSet) {
	if set == nil {
		return
	}
	byFlag := make(map[string]string, len(l.keys))
	for path, k := range l.keys {
		if k.Flag != "" {
			byFlag[k.Flag] = path
		}
	}
	set.Visit(func(f *pflag.Flag) {
		if path, ok := byFlag[f.Name]; ok {
			l.apply(path, f.Value.String(), "flag --"+f.Name)
		}
	})
}

func (l *loader) assignments(set []string) {
	for _, item := range set {
		path, value, ok := strings.Cut(item, "=")
		if !ok {
			l.check.Add("--set", "%q is no key=value", item)
			continue
		}
		if _, known := l.keys[path]; !known {
			l.unknown(path, slices.Collect(maps.Keys(l.keys)), "flag --set")
			continue
		}
		l.apply(path, value, "flag --set")
	}
}

func (l *loader) unknown(name string, candidates []string, source string) {
	hint := ""
	slices.Sort(candidates)
	if near := nearest(name, candidates); near != "" {
		hint = fmt.Sprintf("; did you mean %s?", near)
	}
	l.check.Add(name, "no such key (%s)%s", source, hint)
}

// validate adds the broken rules, each with the source of the value.
func (l *loader) validate() {
	broken, ok := errors.AsType[*fault.Error](l.cfg.Validate())
	if !ok {
		return
	}
	for _, v := range broken.Violations {
		source, set := l.sources[v.Field]
		if !set {
			source = "default"
		}
		l.check.Add(v.Field, "%s (%s)", v.Description, source)
	}
}

// AddFlags declares the flags of the keys whose path starts with one of the
// prefixes; no prefix means all. Flags are read as text: [Load] types them.
func AddFlags(set *pflag.FlagSet, prefixes ...string) {
	defaults := Default()
	for _, k := range Keys() {
		if k.Flag == "" || !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(k.Path, p) }) && len(prefixes) > 0 {
			continue
		}
		f := set.VarPF(&textValue{text: k.Text(&defaults), kind: k.flagType()}, k.Flag, "", k.Doc)
		if k.flagType() == "" {
			f.NoOptDefVal = "true"
		}
	}
}

func (k Key) flagType() string {
	switch k.typeName() {
	case "boolean (true or false)":
		return ""
	case "list":
		return "list"
	case "duration such as 1m30s":
		return "duration"
	default:
		return "text"
	}
}

// textValue is a flag that keeps what was typed.
type textValue struct{ text, kind string }

func (v *textValue) String() string        { return v.text }
func (v *textValue) Set(text string) error { v.text = text; return nil }
func (v *textValue) Type() string          { return v.kind }
