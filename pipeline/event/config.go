package event

import (
	"encoding/json"
	"fmt"

	"github.com/go-faster/jx"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// maxParts bounds the resources that one change may touch.
const maxParts = 20_000

// Validate lists every rule the change breaks as one *fault.Error, nil when it
// is sound. An empty account is the installation itself.
func (c *ConfigChange) Validate() error {
	var k check
	k.id("id", c.ID)
	k.optionalID("account", c.Account)
	k.optionalID("author", c.Author)
	k.text("reason", c.Reason)
	k.time("time", c.Time)
	if len(c.Parts) == 0 {
		k.resource("", &ConfigPart{Kind: c.Kind, Name: c.Name, Base: c.Base, Value: c.Value, Deleted: c.Deleted})
		return k.Err("config change is invalid")
	}
	if c.Kind != "" || c.Name != "" || c.Base != 0 || len(c.Value) > 0 || c.Deleted {
		k.Add("parts", "exclude kind, name, base, value and deleted")
	}
	if len(c.Parts) > maxParts {
		k.Add("parts", "has %d elements, at most %d are allowed", len(c.Parts), maxParts)
	}
	k.parts(c.Parts)
	return k.Err("config change is invalid")
}

func (c *check) parts(parts []ConfigPart) {
	type key struct{ kind, name string }
	seen := make(map[key]struct{}, len(parts))
	changes := 0
	for i := range parts {
		p := &parts[i]
		path := fmt.Sprintf("parts[%d].", i)
		if _, twice := seen[key{p.Kind, p.Name}]; twice {
			c.Add(path+"name", "%s %q has a part already", p.Kind, p.Name)
		}
		seen[key{p.Kind, p.Name}] = struct{}{}
		if p.IsGuard() {
			c.guard(path, p)
			continue
		}
		changes++
		c.resource(path, p)
	}
	if changes == 0 {
		c.Add("parts", "change nothing")
	}
}

func (c *check) guard(path string, p *ConfigPart) {
	c.id(path+"kind", p.Kind)
	if p.Base < 0 {
		c.Add(path+"base", "must not be negative")
	}
	if len(p.Value) > 0 || p.Deleted {
		c.Add(path+"name", "is required")
	}
}

// resource checks what a change says about one resource.
func (c *check) resource(path string, p *ConfigPart) {
	c.id(path+"kind", p.Kind)
	c.id(path+"name", p.Name)
	if p.Base < 0 {
		c.Add(path+"base", "must not be negative")
	}
	switch {
	case p.Deleted && len(p.Value) > 0:
		c.Add(path+"value", "must be empty in a deletion")
	case !p.Deleted && !json.Valid(p.Value):
		c.Add(path+"value", "must be a JSON document")
	}
}

// ConfigToProto translates a config change to its message.
func ConfigToProto(c *ConfigChange) *usherv1.ConfigChangeEvent {
	m := &usherv1.ConfigChangeEvent{
		Id: c.ID, Account: c.Account, Kind: c.Kind, Name: c.Name, Base: c.Base, Value: c.Value, Deleted: c.Deleted,
		Author: c.Author, Reason: c.Reason, Time: toTimestamp(c.Time),
	}
	for i := range c.Parts {
		p := &c.Parts[i]
		m.Parts = append(m.Parts, &usherv1.ConfigPart{Kind: p.Kind, Name: p.Name, Base: p.Base, Value: p.Value, Deleted: p.Deleted})
	}
	return m
}

// ConfigFromProto translates a message to a config change.
func ConfigFromProto(m *usherv1.ConfigChangeEvent) *ConfigChange {
	c := &ConfigChange{
		ID: m.GetId(), Account: m.GetAccount(), Kind: m.GetKind(), Name: m.GetName(), Base: m.GetBase(), Value: m.GetValue(),
		Deleted: m.GetDeleted(), Author: m.GetAuthor(), Reason: m.GetReason(), Time: fromTimestamp(m.GetTime()),
	}
	for _, p := range m.GetParts() {
		c.Parts = append(c.Parts, ConfigPart{
			Kind: p.GetKind(), Name: p.GetName(), Base: p.GetBase(), Value: p.GetValue(), Deleted: p.GetDeleted(),
		})
	}
	return c
}

func readConfigChange(d *jx.Decoder, c *ConfigChange) error {
	return object(d, func(d *jx.Decoder, key []byte) (err error) {
		switch string(key) {
		case "id":
			return readString(d, &c.ID)
		case "account":
			return readString(d, &c.Account)
		case "kind":
			return readString(d, &c.Kind)
		case "name":
			return readString(d, &c.Name)
		case "base":
			return readInt64(d, &c.Base)
		case "value":
			c.Value, err = d.Base64()
			return err
		case "deleted":
			return readBool(d, &c.Deleted)
		case "author":
			return readString(d, &c.Author)
		case "reason":
			return readString(d, &c.Reason)
		case "time":
			return readTime(d, &c.Time)
		case "parts":
			return list(d, &c.Parts, readConfigPart)
		default:
			return d.Skip()
		}
	})
}

func readConfigPart(d *jx.Decoder, p *ConfigPart) error {
	return object(d, func(d *jx.Decoder, key []byte) (err error) {
		switch string(key) {
		case "kind":
			return readString(d, &p.Kind)
		case "name":
			return readString(d, &p.Name)
		case "base":
			return readInt64(d, &p.Base)
		case "value":
			p.Value, err = d.Base64()
			return err
		case "deleted":
			return readBool(d, &p.Deleted)
		default:
			return d.Skip()
		}
	})
}
