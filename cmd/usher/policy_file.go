package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
)

// source is a JSON or YAML file as JSON, with the lines of its places.
type source struct {
	name  string
	json  []byte
	lines map[string]int // by path, such as policies[0].when
	names map[string]string
	// fault is why it is neither JSON nor YAML, and faultLine where.
	fault     error
	faultLine int
}

// maxSource is the number of bytes read of a file at the most.
const maxSource = 64 << 20

// readSource reads a file, or standard input for "-". The error is about opening
// it; a text that cannot be parsed is the source's fault.
func (w *world) readSource(name string) (*source, error) {
	in := w.in
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, &usageError{err}
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxSource+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > maxSource {
		return nil, &usageError{fmt.Errorf("%s is larger than %d bytes", name, maxSource)}
	}
	s := &source{name: name, lines: map[string]int{}, names: map[string]string{}}
	if name == "-" {
		s.name = "standard input"
	}
	s.parse(text, filepath.Ext(name))
	return s, nil
}

func (s *source) parse(text []byte, extension string) {
	trimmed := bytes.TrimSpace(text)
	isJSON := len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[')
	if extension != ".yaml" && extension != ".yml" && (isJSON || extension == ".json") {
		s.readJSON(text)
		return
	}
	s.readYAML(text)
}

// readJSON keeps the text as it is and notes where its values begin.
func (s *source) readJSON(text []byte) {
	s.json = text
	if len(bytes.TrimSpace(text)) == 0 {
		s.fault, s.faultLine = errors.New("the file is empty"), 1
		return
	}
	l := locator{source: s, text: text, dec: json.NewDecoder(bytes.NewReader(text))}
	if err := l.value("", 0); err != nil {
		s.fault, s.faultLine = fmt.Errorf("is not JSON: %w", err), l.line()
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			s.faultLine = 1 + bytes.Count(text[:min(int(syntax.Offset), len(text))], []byte{'\n'})
		}
	}
}

// locator walks JSON and notes lines.
type locator struct {
	source *source
	text   []byte
	dec    *json.Decoder
}

func (l *locator) line() int {
	return 1 + bytes.Count(l.text[:min(int(l.dec.InputOffset()), len(l.text))], []byte{'\n'})
}

// maxFileNesting bounds the walk through a file.
const maxFileNesting = 100

func (l *locator) value(path string, depth int) error {
	if depth > maxFileNesting {
		return fmt.Errorf("nested more than %d deep", maxFileNesting)
	}
	token, err := l.dec.Token()
	if err != nil {
		return err
	}
	if _, noted := l.source.lines[path]; !noted {
		l.source.lines[path] = l.line()
	}
	switch token {
	case json.Delim('{'):
		for l.dec.More() {
			key, err := l.dec.Token()
			if err != nil {
				return err
			}
			name, _ := key.(string)
			at := joinPath(path, name)
			l.source.lines[at] = l.line()
			if err := l.value(at, depth+1); err != nil {
				return err
			}
		}
		_, err = l.dec.Token()
	case json.Delim('['):
		for i := 0; l.dec.More(); i++ {
			if err := l.value(path+"["+strconv.Itoa(i)+"]", depth+1); err != nil {
				return err
			}
		}
		_, err = l.dec.Token()
	default:
		if text, ok := token.(string); ok {
			l.source.note(path, text)
		}
	}
	return err
}

// note remembers which object has which name, so that a problem of a policy finds
// the policy.
func (s *source) note(path, text string) {
	cut := strings.LastIndexByte(path, '.')
	switch path[cut+1:] {
	case "name", "display_name", "filter_friendly_name", "friendly_name":
		if _, noted := s.names[text]; !noted {
			s.names[text] = path[:max(cut, 0)]
		}
	}
}

// policyPath is where a policy stands; empty when nothing in the file is called
// so. In the files of other systems its name is what is here the display name.
func (s *source) policyPath(p *policy.Policy) string {
	if path, ok := s.names[p.Name]; ok {
		return path
	}
	return s.names[p.DisplayName]
}

// line finds the line of a place, or of the nearest one around it; 0 when the file
// has no lines.
func (s *source) line(path string) int {
	for {
		if n, ok := s.lines[path]; ok || path == "" {
			return n
		}
		cut := strings.LastIndexAny(path, ".[")
		path = path[:max(cut, 0)]
	}
}

// readYAML turns YAML into JSON and notes the lines of its nodes.
func (s *source) readYAML(text []byte) {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		// The line stands before the message, as with every other fault.
		text := regexp.MustCompile(`^yaml: (line \d+: )?`).ReplaceAllString(err.Error(), "")
		s.fault, s.faultLine = errors.New("is neither JSON nor YAML: "+text), yamlLine(err)
		return
	}
	if len(root.Content) != 1 {
		s.fault, s.faultLine = errors.New("the file is empty"), 1
		return
	}
	y := yamlWriter{source: s, left: maxNodes}
	if err := y.node(root.Content[0], "", 0); err != nil {
		s.fault, s.faultLine = err, y.at
		return
	}
	s.json = y.out.Bytes()
}

// yamlLine finds the line in the words of the parser's error, which has no field
// for it.
func yamlLine(err error) int {
	m := regexp.MustCompile(`line (\d+)`).FindStringSubmatch(err.Error())
	if m == nil {
		return 1
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 1
	}
	return n
}

// maxNodes bounds what aliases can blow up.
const maxNodes = 1_000_000

// yamlWriter writes YAML as JSON. Keys that stand twice are written twice, so that
// the reader of the JSON can complain.
type yamlWriter struct {
	source *source
	out    bytes.Buffer
	left   int
	at     int
}

func (y *yamlWriter) node(n *yaml.Node, path string, depth int) error {
	y.at = n.Line
	if y.left--; y.left < 0 || depth > maxFileNesting {
		return errors.New("has too many values, or nests them too deep")
	}
	if _, noted := y.source.lines[path]; !noted {
		y.source.lines[path] = n.Line
	}
	switch n.Kind {
	case yaml.AliasNode:
		return y.node(n.Alias, path, depth+1)
	case yaml.MappingNode:
		return y.mapping(n, path, depth)
	case yaml.SequenceNode:
		y.out.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				y.out.WriteByte(',')
			}
			if err := y.node(item, path+"["+strconv.Itoa(i)+"]", depth+1); err != nil {
				return err
			}
		}
		y.out.WriteByte(']')
		return nil
	default:
		return y.scalar(n, path)
	}
}

func (y *yamlWriter) mapping(n *yaml.Node, path string, depth int) error {
	y.out.WriteByte('{')
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if i > 0 {
			y.out.WriteByte(',')
		}
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			y.at = key.Line
			return errors.New("has a key that is no plain text")
		}
		at := joinPath(path, key.Value)
		y.source.lines[at] = key.Line
		if err := y.json(key.Value); err != nil {
			return err
		}
		y.out.WriteByte(':')
		if err := y.node(value, at, depth+1); err != nil {
			return err
		}
	}
	y.out.WriteByte('}')
	return nil
}

// scalar writes numbers as they are typed, so that long ids keep their digits, and
// times as text.
func (y *yamlWriter) scalar(n *yaml.Node, path string) error {
	switch n.Tag {
	case "!!null":
		return y.json(nil)
	case "!!bool":
		var b bool
		if err := n.Decode(&b); err != nil {
			return err
		}
		return y.json(b)
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			y.out.WriteString(n.Value)
			return nil
		}
		var f float64
		if err := n.Decode(&f); err != nil {
			return err
		}
		return y.json(f)
	}
	y.source.note(path, n.Value)
	return y.json(n.Value)
}

func (y *yamlWriter) json(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("cannot be written as JSON: %w", err)
	}
	y.out.Write(text)
	return nil
}

// place gives the violations of a refused document their lines, and their order. A
// violation of another file that the document names begins with that name.
func (s *source) place(err error, others map[string]*source) error {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || len(f.Violations) == 0 {
		return err
	}
	list := make([]placed, len(f.Violations))
	names := []string{s.name}
	for i, v := range f.Violations {
		home, at := s, v.Field
		if name, rest, ok := strings.Cut(at, ": "); ok && others[name] != nil {
			home, at = others[name], rest
			names = append(names, home.name)
		}
		list[i] = placed{file: home.name, line: max(home.faultLine, home.line(inDocument(at)))}
		list[i].Path, list[i].Description = at, v.Description
	}
	sortPlaced(list, names)
	own := *f
	own.Violations = make([]fault.Violation, len(list))
	for i, p := range list {
		own.Violations[i] = fault.Violation{Field: p.Path, Description: p.Description}
		if p.line > 0 {
			own.Violations[i].Field = strings.TrimSuffix(fmt.Sprintf("%s:%d: %s", p.file, p.line, p.Path), ": ")
		}
	}
	return &own
}

// unreadable says why it is neither JSON nor YAML.
func (s *source) unreadable() error {
	return &usageError{fmt.Errorf("%s:%d: %w", s.name, s.faultLine, s.fault)}
}

// inDocument is a place of a request's document as a place of the file.
func inDocument(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, "document"), ".")
}
