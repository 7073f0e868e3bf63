package event

import (
	"github.com/go-faster/jx"
)

// resolved reads the fields that say how the facts of a decision were found and
// how far its policy had come.
func (d *Decision) resolved(j *jx.Decoder, key []byte) error {
	switch string(key) {
	case "calls":
		return list(j, &d.Calls, readCall)
	case "step":
		return readInt(j, &d.Step)
	case "valid_for_ns":
		return readInt64(j, (*int64)(&d.ValidFor))
	case "waited_ns":
		return readInt64(j, (*int64)(&d.Waited))
	case "redacted":
		return list(j, &d.Redacted, readString)
	case "added":
		return readInt(j, &d.Added)
	case "sources":
		return dict(j, &d.Sources, readString)
	default:
		return j.Skip()
	}
}

func readCall(d *jx.Decoder, c *Call) error {
	return object(d, func(d *jx.Decoder, key []byte) error {
		switch string(key) {
		case "function":
			return readString(d, &c.Function)
		case "attribute":
			return readString(d, &c.Attribute)
		case "result":
			return readString(d, (*string)(&c.Result))
		case "latency_ns":
			return readInt64(d, (*int64)(&c.Latency))
		case "detail":
			return readString(d, &c.Detail)
		case "fallback":
			return readBool(d, &c.Fallback)
		case "age_ns":
			return readInt64(d, (*int64)(&c.Age))
		default:
			return d.Skip()
		}
	})
}

func readPolicyTrace(d *jx.Decoder, p *PolicyTrace) error {
	return object(d, func(d *jx.Decoder, key []byte) error {
		switch string(key) {
		case "policy":
			return readString(d, &p.Policy)
		case "revision":
			return readInt64(d, &p.Revision)
		case "state":
			return readString(d, (*string)(&p.State))
		case "conditions":
			return list(d, &p.Conditions, readConditionTrace)
		case "exception":
			return readBool(d, &p.Exception)
		case "cause":
			return readString(d, &p.Cause)
		default:
			return d.Skip()
		}
	})
}

func readConditionTrace(d *jx.Decoder, c *ConditionTrace) error {
	return object(d, func(d *jx.Decoder, key []byte) error {
		switch string(key) {
		case "path":
			return readString(d, &c.Path)
		case "attribute":
			return readString(d, &c.Attribute)
		case "operator":
			return readString(d, &c.Operator)
		case "expected":
			return readAny(d, &c.Expected)
		case "actual":
			return readAny(d, &c.Actual)
		case "truth":
			return readString(d, (*string)(&c.Truth))
		case "cause":
			return readString(d, &c.Cause)
		case "source":
			return readString(d, &c.Source)
		case "age_ns":
			return readInt64(d, (*int64)(&c.Age))
		default:
			return d.Skip()
		}
	})
}
