package event

import (
	"strconv"

	"github.com/go-faster/jx"
)

func readOutcome(d *jx.Decoder, o *Outcome) error {
	return object(d, func(d *jx.Decoder, key []byte) error {
		switch string(key) {
		case "id":
			return readString(d, &o.ID)
		case "source":
			return readString(d, &o.Source)
		case "account":
			return readString(d, &o.Account)
		case "decision_id":
			return readString(d, &o.DecisionID)
		case "conversation_id":
			return readString(d, &o.ConversationID)
		case "kind":
			return readString(d, &o.Kind)
		case "value":
			return readFloat(d, &o.Value)
		case "label":
			return readString(d, &o.Label)
		case "time":
			return readTime(d, &o.Time)
		default:
			return d.Skip()
		}
	})
}

func readSkillState(d *jx.Decoder, s *SkillState) error {
	return object(d, func(d *jx.Decoder, key []byte) error {
		switch string(key) {
		case "id":
			return readString(d, &s.ID)
		case "source":
			return readString(d, &s.Source)
		case "account":
			return readString(d, &s.Account)
		case "skill":
			return readString(d, &s.Skill)
		case "state":
			return readSkill(d, &s.State)
		default:
			return d.Skip()
		}
	})
}

func readSkill(d *jx.Decoder, s *Skill) error {
	return object(d, func(d *jx.Decoder, key []byte) error {
		switch string(key) {
		case "agents_online":
			return readInt(d, &s.AgentsOnline)
		case "queue_size":
			return readInt(d, &s.QueueSize)
		case "load":
			return readFloat(d, &s.Load)
		case "wait_avg_seconds":
			return readFloat(d, &s.WaitSeconds)
		case "handle_avg_seconds":
			return readFloat(d, &s.HandleSeconds)
		case "at":
			return readTime(d, &s.At)
		default:
			return d.Skip()
		}
	})
}

func readDecision(d *jx.Decoder, v *Decision) error {
	return object(d, func(d *jx.Decoder, key []byte) error {
		if s := v.textField(key); s != nil {
			return readString(d, s)
		}
		switch string(key) {
		case "time":
			return readTime(d, &v.Time)
		case "attributes":
			return dict(d, &v.Attributes, readAny)
		case "skills":
			return dict(d, &v.Skills, readSkill)
		case "policies":
			return list(d, &v.Policies, readPolicyTrace)
		case "candidates":
			return list(d, &v.Candidates, readCandidate)
		case "actions":
			return list(d, &v.Actions, readAction)
		case "propensity":
			return readFloat(d, &v.Propensity)
		case "explored":
			return readBool(d, &v.Explored)
		case "decided_by":
			return readString(d, (*string)(&v.DecidedBy))
		case "policy_revision":
			return readInt64(d, &v.PolicyRevision)
		case "seed":
			return readSeed(d, &v.Seed)
		case "reasons":
			return list(d, &v.Reasons, readString)
		case "max_actions":
			return readInt(d, &v.MaxActions)
		case "latency_ns":
			return readInt64(d, (*int64)(&v.Latency))
		case "labels":
			return dict(d, &v.Labels, readString)
		default:
			return v.resolved(d, key)
		}
	})
}

// textField is where the text of a plain string field goes, nil for others.
func (d *Decision) textField(key []byte) *string {
	switch string(key) {
	case "decision_id":
		return &d.ID
	case "account":
		return &d.Account
	case "request_id":
		return &d.RequestID
	case "conversation_id":
		return &d.ConversationID
	case "consumer_id":
		return &d.ConsumerID
	case "visitor_id":
		return &d.VisitorID
	case "session_id":
		return &d.SessionID
	case "channel":
		return &d.Channel
	case "intent":
		return &d.Intent
	case "baseline":
		return &d.Baseline
	case "policy_only":
		return &d.PolicyOnly
	case "model_only":
		return &d.ModelOnly
	case "drawn":
		return &d.Drawn
	case "chosen":
		return &d.Chosen
	case "policy":
		return &d.Policy
	case "model_version":
		return &d.ModelVersion
	case "objective":
		return &d.Objective
	case "mode":
		return &d.Mode
	case "no_match_reason":
		return &d.NoMatchReason
	case "only_policy":
		return &d.OnlyPolicy
	default:
		return nil
	}
}

// The seed is a string in JSON: most readers would round a 64-bit number.
func readSeed(d *jx.Decoder, into *uint64) error {
	text, err := d.StrBytes()
	if err != nil {
		return err
	}
	*into, err = strconv.ParseUint(string(text), 10, 64)
	return err
}

func readAction(d *jx.Decoder, a *Action) error {
	return object(d, func(d *jx.Decoder, key []byte) error {
		if known, err := a.field(d, key); known || err != nil {
			return err
		}
		return d.Skip()
	})
}

func (a *Action) field(d *jx.Decoder, key []byte) (known bool, err error) {
	switch string(key) {
	case "type":
		return true, readString(d, &a.Type)
	case "target":
		return true, readString(d, &a.Target)
	case "payload":
		return true, dict(d, &a.Payload, readAny)
	default:
		return false, nil
	}
}

func readCandidate(d *jx.Decoder, c *Candidate) error {
	return object(d, func(d *jx.Decoder, key []byte) error {
		if known, err := c.field(d, key); known || err != nil {
			return err
		}
		switch string(key) {
		case "attributes":
			return dict(d, &c.Attributes, readAny)
		case "eligible":
			return readBool(d, &c.Eligible)
		case "verdict":
			return readString(d, &c.Verdict)
		case "score":
			return readFloat(d, &c.Score)
		case "std_err":
			return readFloat(d, &c.StdErr)
		case "known":
			return readBool(d, &c.Known)
		case "priority":
			return readFloat(d, &c.Priority)
		case "wait_cost":
			return readFloat(d, &c.WaitCost)
		case "share_cap":
			return readFloat(d, &c.ShareCap)
		case "probability":
			return readFloat(d, &c.Probability)
		case "factors":
			return list(d, &c.Factors, readFactor)
		default:
			return d.Skip()
		}
	})
}

func readFactor(d *jx.Decoder, f *Factor) error {
	return object(d, func(d *jx.Decoder, key []byte) error {
		switch string(key) {
		case "name":
			return readString(d, &f.Name)
		case "value":
			return readFloat(d, &f.Value)
		default:
			return d.Skip()
		}
	})
}
