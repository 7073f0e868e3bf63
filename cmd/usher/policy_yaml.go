package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// policyYAML writes a document of policies as YAML, the way people write it: what
// a policy is called first, what it does last.
func policyYAML(document []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return nil, fmt.Errorf("write the policies: %w", err)
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(yamlNode(tree)); err != nil {
		return nil, fmt.Errorf("write the policies: %w", err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("write the policies: %w", err)
	}
	return out.Bytes(), nil
}

// yamlOrder lists the keys that do not stand where the alphabet puts them.
func yamlOrder() []string {
	return []string{"name", "display_name", "description", "enabled", "schedule", "exception", "type", "target", "attribute", "operator", "when"}
}

func yamlNode(v any) *yaml.Node {
	switch t := v.(type) {
	case map[string]any:
		n := &yaml.Node{Kind: yaml.MappingNode}
		keys := sortedKeysOf(t)
		for _, key := range keys {
			n.Content = append(n.Content, yamlText(key), yamlNode(t[key]))
		}
		return n
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, inner := range t {
			n.Content = append(n.Content, yamlNode(inner))
		}
		return n
	case string:
		return yamlText(t)
	case json.Number:
		// As it is written: an id of twenty digits keeps its last ones.
		tag := "!!int"
		if _, err := t.Int64(); err != nil {
			tag = "!!float"
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: t.String()}
	}
	n := &yaml.Node{}
	// true, false and null cannot fail.
	_ = n.Encode(v)
	return n
}

// yamlText leaves the quoting to the encoder, which quotes what would be read as
// something else.
func yamlText(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	return n
}

func sortedKeysOf(m map[string]any) []string {
	out := keys(m)
	order := yamlOrder()
	place := func(key string) int {
		if at := slices.Index(order, key); at >= 0 {
			return at
		}
		return len(order)
	}
	slices.SortStableFunc(out, func(a, b string) int { return place(a) - place(b) })
	return out
}
