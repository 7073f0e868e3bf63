package event

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/usherhq/usher/internal/jsontext"
)

// decisionJSON writes what json.Marshal would, but for the order of the fields. What
// the policies said is most of a record and is written by hand, in half the time
// that reflection takes, and stands last; a test holds the two to each other.
func decisionJSON(d *Decision) ([]byte, error) {
	if len(d.Policies) == 0 {
		return json.Marshal(d)
	}
	rest := *d
	rest.Policies = nil
	head, err := json.Marshal(&rest)
	if err != nil {
		return nil, err
	}
	w := jsonWriter{buf: make([]byte, 0, len(head)+traceSize(d.Policies))}
	w.buf = append(w.buf, head[:len(head)-1]...)
	w.policies(d.Policies)
	w.buf = append(w.buf, '}')
	return w.buf, w.err
}

// traceSize guesses how many bytes the policies take, rather too many than too few.
func traceSize(ps []PolicyTrace) int {
	const policy, condition = 96, 160
	n := 0
	for i := range ps {
		n += policy + condition*len(ps[i].Conditions)
	}
	return n
}

// jsonWriter appends fields and keeps the first fault.
type jsonWriter struct {
	buf []byte
	err error
}

func (w *jsonWriter) policies(ps []PolicyTrace) {
	w.buf = append(w.buf, `,"policies":[`...)
	for i := range ps {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		p := &ps[i]
		w.text(`{"policy":`, p.Policy)
		w.buf = strconv.AppendInt(append(w.buf, `,"revision":`...), p.Revision, 10)
		w.text(`,"state":`, string(p.State))
		if len(p.Conditions) > 0 {
			w.conditions(p.Conditions)
		}
		if p.Exception {
			w.buf = append(w.buf, `,"exception":true`...)
		}
		w.optional(`,"cause":`, p.Cause)
		w.buf = append(w.buf, '}')
	}
	w.buf = append(w.buf, ']')
}

func (w *jsonWriter) conditions(cs []ConditionTrace) {
	w.buf = append(w.buf, `,"conditions":[`...)
	for i := range cs {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		c := &cs[i]
		w.text(`{"path":`, c.Path)
		w.optional(`,"attribute":`, c.Attribute)
		w.optional(`,"operator":`, c.Operator)
		w.any(`,"expected":`, c.Expected)
		w.any(`,"actual":`, c.Actual)
		w.text(`,"truth":`, string(c.Truth))
		w.optional(`,"cause":`, c.Cause)
		w.optional(`,"source":`, c.Source)
		if c.Age != 0 {
			w.buf = strconv.AppendInt(append(w.buf, `,"age_ns":`...), int64(c.Age), 10)
		}
		w.buf = append(w.buf, '}')
	}
	w.buf = append(w.buf, ']')
}

func (w *jsonWriter) optional(name, s string) {
	if s != "" {
		w.text(name, s)
	}
}

func (w *jsonWriter) text(name, s string) {
	w.buf = append(w.buf, name...)
	w.quote(s)
}

// quote leaves what needs escaping to the standard library: it is rare.
func (w *jsonWriter) quote(s string) {
	var ok bool
	if w.buf, ok = jsontext.AppendString(w.buf, s); !ok {
		w.other(s)
	}
}

func (w *jsonWriter) any(name string, v any) {
	if v == nil {
		return
	}
	w.buf = append(w.buf, name...)
	w.value(v)
}

func (w *jsonWriter) value(v any) {
	switch t := v.(type) {
	case string:
		w.quote(t)
	case float64:
		var ok bool
		if w.buf, ok = jsontext.AppendNumber(w.buf, t); !ok {
			w.other(v)
		}
	case bool:
		w.buf = strconv.AppendBool(w.buf, t)
	case []any:
		if t == nil {
			w.buf = append(w.buf, "null"...)
			return
		}
		w.buf = append(w.buf, '[')
		for i := range t {
			if i > 0 {
				w.buf = append(w.buf, ',')
			}
			w.value(t[i])
		}
		w.buf = append(w.buf, ']')
	default:
		w.other(v)
	}
}

func (w *jsonWriter) other(v any) {
	text, err := json.Marshal(v)
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("field policies: %w", err)
	}
	w.buf = append(w.buf, text...)
}
