package rpc

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/usherhq/usher/internal/fault"
)

// Documents finds what is wrong with a message beside its shape, by the full name of
// its type. It is asked about messages of a body that could not be read for its shape,
// so that all faults come out at once; paths are those within the message.
type Documents map[protoreflect.FullName]func(raw json.RawMessage) []fault.Violation

// documented is what the implementation of a service may be.
type documented interface{ Documents() Documents }

func documentsOf(services []Service) Documents {
	all := Documents{}
	for _, svc := range services {
		if d, ok := svc.Impl.(documented); ok {
			maps.Copy(all, d.Documents())
		}
	}
	return all
}

// explain names every field because of which a JSON body could not be read.
// The codec tells a line and a column of the first, which is of little use to a
// program.
func (c *codec) explain(body []byte, v any, cause error) error {
	if err := json.Unmarshal(body, new(json.RawMessage)); err != nil {
		return faultText(fault.Violation{Field: "body", Description: "not valid JSON: " + err.Error()})
	}
	if m := messageOf(v); m != nil {
		w := misfits{documents: c.documents}
		w.message(body, m.ProtoReflect().Type(), "")
		if len(w.found) > 0 {
			return faultText(w.found...)
		}
	}
	return faultText(fault.Violation{Field: "body", Description: plain(cause)})
}

// plain takes the codec's marks off its complaint.
func plain(cause error) string {
	text := strings.TrimSpace(strings.ReplaceAll(cause.Error(), "\u00a0", " "))
	text = strings.TrimPrefix(text, "proto: ")
	if _, rest, ok := strings.Cut(text, "): "); ok && strings.HasPrefix(text, "(line ") {
		text = rest
	}
	return text
}

// bodyMark sets fields and problems apart in the text of an error: text is all
// that the generated gateway code keeps of one.
const bodyMark = "\x1f"

func faultText(violations ...fault.Violation) error {
	var b strings.Builder
	for _, v := range violations {
		b.WriteString(bodyMark + v.Field + bodyMark + v.Description)
	}
	return errors.New(b.String())
}

// splitBodyError takes the text of an error of the gateway apart into fields and
// problems.
func splitBodyError(text string) []fault.Violation {
	if parts := strings.Split(text, bodyMark); len(parts) > 2 {
		var out []fault.Violation
		for i := 1; i+1 < len(parts); i += 2 {
			out = append(out, fault.Violation{Field: parts[i], Description: parts[i+1]})
		}
		return out
	}
	// A query parameter: parsing field "page_size": strconv.ParseInt: ...
	if _, rest, ok := strings.Cut(text, `parsing field "`); ok {
		if field, _, ok := strings.Cut(rest, `"`); ok {
			return []fault.Violation{{Field: field, Description: "has a value that cannot be read" + queryHint(text)}}
		}
	}
	return []fault.Violation{{Field: "request", Description: text}}
}

// queryHint shows how a time or a duration is written, told by the complaint about
// the one that was sent.
func queryHint(complaint string) string {
	switch {
	case strings.Contains(complaint, "parsing time"), strings.Contains(complaint, "Timestamp"):
		return "; write a time as RFC 3339 such as 2026-11-22T10:00:00Z"
	case strings.Contains(complaint, "time: "), strings.Contains(complaint, "Duration"):
		return "; write a duration in seconds such as 0.02s"
	}
	return ""
}

// messageOf finds the message that v is, or points to.
func messageOf(v any) proto.Message {
	if m, ok := v.(proto.Message); ok {
		return m
	}
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Pointer {
		return nil
	}
	m, _ := reflect.TypeAssert[proto.Message](reflect.New(t.Elem().Elem()))
	return m
}

// fill returns the message that v is, or points to; in the latter case there is
// one afterwards. Nil when v is something else.
func fill(v any) proto.Message {
	if m, ok := v.(proto.Message); ok {
		return m
	}
	m := messageOf(v)
	if m != nil {
		reflect.ValueOf(v).Elem().Set(reflect.ValueOf(m))
	}
	return m
}
