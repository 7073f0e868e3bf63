package config

import (
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// mask replaces a secret in a dump.
const mask = "********"

// YAML is the configuration as a file that [Load] reads back, secrets masked.
func (c *Config) YAML() ([]byte, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, k := range Keys() {
		at := root
		parts := strings.Split(k.Path, ".")
		for _, section := range parts[:len(parts)-1] {
			at = child(at, section)
		}
		value := &yaml.Node{}
		if err := value.Encode(k.printable(c)); err != nil {
			return nil, fmt.Errorf("write key %q: %w", k.Path, err)
		}
		at.Content = append(at.Content, name(parts[len(parts)-1]), value)
	}
	text, err := yaml.Marshal(root)
	if err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	return text, nil
}

func name(text string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: text} }

// child finds or appends the section of a mapping.
func child(at *yaml.Node, section string) *yaml.Node {
	for i := 0; i < len(at.Content); i += 2 {
		if at.Content[i].Value == section {
			return at.Content[i+1]
		}
	}
	next := &yaml.Node{Kind: yaml.MappingNode}
	at.Content = append(at.Content, name(section), next)
	return next
}

func (k Key) printable(c *Config) any {
	value := reflect.ValueOf(c).Elem().FieldByIndex(k.index).Interface()
	switch v := value.(type) {
	case time.Duration:
		return v.String()
	case []string:
		if v == nil {
			return []string{}
		}
	case string:
		if k.Secret {
			return masked(v)
		}
	}
	return value
}

// masked hides a secret; of a URL only what can hold one, so that the host stays
// readable.
func masked(secret string) string {
	if secret == "" {
		return ""
	}
	u, err := url.Parse(secret)
	if err != nil || u.Host == "" {
		return mask
	}
	out := u.Scheme + "://"
	if u.User != nil {
		out += u.User.Username() + ":" + mask + "@"
	}
	out += u.Host + u.Path
	if u.RawQuery != "" {
		out += "?" + mask
	}
	return out
}

// Schema is the JSON Schema (2020-12) of the file.
func Schema() ([]byte, error) {
	defaults := Default()
	root := newSection()
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Usher configuration"
	for _, k := range Keys() {
		at := root
		parts := strings.Split(k.Path, ".")
		for _, section := range parts[:len(parts)-1] {
			properties := at["properties"].(map[string]any)
			if properties[section] == nil {
				properties[section] = newSection()
			}
			at = properties[section].(map[string]any)
		}
		at["properties"].(map[string]any)[parts[len(parts)-1]] = k.schema(&defaults)
	}
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema: %w", err)
	}
	return append(text, '\n'), nil
}

func newSection() map[string]any {
	return map[string]any{"type": "object", "additionalProperties": false, "properties": map[string]any{}}
}

func (k Key) schema(defaults *Config) map[string]any {
	doc := k.Doc + ". Environment: " + k.Env
	if k.Flag != "" {
		doc += ". Flag: --" + k.Flag
	}
	s := map[string]any{"description": doc, "default": k.printable(defaults)}
	switch {
	case k.Type == reflect.TypeFor[time.Duration]():
		s["type"], s["pattern"] = "string", `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`
	case k.Type.Kind() == reflect.Slice:
		s["type"], s["items"] = "array", map[string]any{"type": "string"}
	case k.Type.Kind() == reflect.Bool:
		s["type"] = "boolean"
	case k.Type.Kind() == reflect.Int:
		s["type"] = "integer"
	case k.Type.Kind() == reflect.Float64:
		s["type"] = "number"
	default:
		s["type"] = "string"
	}
	return s
}
