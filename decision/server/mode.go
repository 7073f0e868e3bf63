package server

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/internal/fault"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// ListModes lists the scopes that have a mode of their own.
func (s *controlService) ListModes(_ context.Context, r *usherv1.ListModesRequest) (*usherv1.ListModesResponse, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err == nil {
		err = s.account(account)
	}
	if err != nil {
		return nil, err
	}
	all, err := s.deps.Control.Modes(account)
	if err != nil {
		return nil, err
	}
	part, next, err := page(all, r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &usherv1.ListModesResponse{NextPageToken: next}
	for _, m := range part {
		resp.Modes = append(resp.Modes, modeTo(account, m))
	}
	return resp, nil
}

// GetMode returns the mode of one scope.
func (s *controlService) GetMode(_ context.Context, r *usherv1.GetModeRequest) (*usherv1.GetModeResponse, error) {
	account, scope, err := childName(r.GetName(), "modes")
	if err != nil {
		return nil, err
	}
	m, err := s.deps.Control.GetMode(account, scope)
	if err != nil {
		return nil, err
	}
	return &usherv1.GetModeResponse{Mode: modeTo(account, m)}, nil
}

// UpdateMode changes the mode of a scope.
func (s *controlService) UpdateMode(ctx context.Context, r *usherv1.UpdateModeRequest) (*usherv1.UpdateModeResponse, error) {
	account, scope, err := childName(r.GetMode().GetName(), "modes")
	if err != nil {
		return nil, err
	}
	etag, err := parseEtag(r.GetMode().GetEtag())
	if err != nil {
		return nil, err
	}
	stored, err := edit(etag, func() (control.Mode, int64, error) {
		m, err := s.deps.Control.GetMode(account, scope)
		if fault.KindOf(err) == fault.NotFound {
			return control.Mode{Scope: scope}, 0, nil
		}
		return m, m.Revision, err
	}, func(current control.Mode, revision int64) (control.Mode, error) {
		next, err := patched(modeTo(account, current), r.GetMode(), r.GetUpdateMask())
		if err != nil {
			return current, err
		}
		return s.deps.Control.SetMode(ctx, account, control.Mode{
			Scope: scope, Kind: decision.ModeKind(next.GetMode()), Share: next.GetShare(),
			Exploration: next.Exploration, Objective: next.GetObjective(), Revision: revision,
			Guardrails: guardrailsFrom(next.GetGuardrails()),
		}, author(ctx, r.GetReason()))
	})
	if err != nil {
		return nil, err
	}
	return &usherv1.UpdateModeResponse{Mode: modeTo(account, stored)}, nil
}

// DeleteMode makes a scope follow the account again.
func (s *controlService) DeleteMode(ctx context.Context, r *usherv1.DeleteModeRequest) (*usherv1.DeleteModeResponse, error) {
	account, scope, err := childName(r.GetName(), "modes")
	if err != nil {
		return nil, err
	}
	etag, err := parseEtag(r.GetEtag())
	if err != nil {
		return nil, err
	}
	return &usherv1.DeleteModeResponse{}, s.deps.Control.DeleteMode(ctx, account, scope, etag, author(ctx, r.GetReason()))
}

func modeTo(account string, m control.Mode) *usherv1.Mode {
	out := &usherv1.Mode{
		Name: "accounts/" + account + "/modes/" + m.Scope, Mode: string(m.Kind), Share: m.Share,
		Exploration: m.Exploration, Objective: m.Objective, Etag: etagOf(m.Revision), UpdateTime: timestamppb.New(m.Updated),
	}
	for _, g := range m.Guardrails {
		out.Guardrails = append(out.Guardrails, &usherv1.Guardrail{
			Metric: g.Metric, MaxDrop: g.MaxDrop, Min: g.Min, Max: g.Max, LowerIsBetter: g.LowerIsBetter,
		})
	}
	return out
}

func guardrailsFrom(list []*usherv1.Guardrail) (out []control.Guardrail) {
	for _, g := range list {
		out = append(out, control.Guardrail{
			Metric: g.GetMetric(), MaxDrop: g.GetMaxDrop(), Min: g.GetMin(), Max: g.GetMax(), LowerIsBetter: g.GetLowerIsBetter(),
		})
	}
	return out
}
