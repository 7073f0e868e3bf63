package server

import (
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/usherhq/usher/decision/decisionlog"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// record keeps a decision unless it is a retry of one that was kept just now. The
// only error is that of a request too large to be recorded.
func (s *Server) record(d *event.Decision) error {
	if _, again := s.deps.Recorder.Recent(d.Account, d.ID); !again {
		err := s.deps.Recorder.Record(d)
		if isTooLarge(err) {
			err = s.deps.Recorder.Record(withoutTraces(d))
		}
		switch {
		case isTooLarge(err):
			return err
		case err != nil:
			s.deps.Log.Error("decision is answered but not recorded", "account", d.Account, "decision", d.ID, "error", err)
		}
	}
	s.counts.decided(d)
	return nil
}

func isTooLarge(err error) bool {
	e, ok := errors.AsType[*fault.Error](err)
	return ok && e.Reason == decisionlog.TooLarge
}

// withoutTraces is the record without what the policies said, but for the one
// that decided. How much that is, is not the caller's doing.
func withoutTraces(d *event.Decision) *event.Decision {
	slim := *d
	slim.Policies = nil
	for _, p := range d.Policies {
		if p.Policy == d.Policy {
			p.Conditions = nil
			slim.Policies = append(slim.Policies, p)
		}
	}
	return &slim
}

// tooLarge says which part of a request to shorten.
func tooLarge(r *usherv1.NextActionsRequest, cause error) error {
	e, ok := errors.AsType[*fault.Error](cause)
	if !ok {
		return cause
	}
	field, size := "attributes", proto.Size(&usherv1.NextActionsRequest{Attributes: r.GetAttributes()})
	for name, part := range map[string]proto.Message{
		"candidates": &usherv1.NextActionsRequest{Candidates: r.GetCandidates()},
		"baseline":   &usherv1.NextActionsRequest{Baseline: r.GetBaseline()},
	} {
		if n := proto.Size(part); n > size {
			field, size = name, n
		}
	}
	return &fault.Error{
		Kind: fault.Invalid, Reason: e.Reason, Metadata: e.Metadata,
		Message: "the record of this decision would have " + e.Metadata["size"] + " bytes, at most " + e.Metadata["limit"] + " can be kept",
		Violations: []fault.Violation{{
			Field: field, Description: "is the largest part of the request: shorten its texts and payloads, or send less of it",
		}},
	}
}
