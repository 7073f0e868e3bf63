package server

import (
	"context"
	"encoding/json"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/internal/fault"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// The states of a model.
const (
	stateChampion  = "CHAMPION"
	statePrevious  = "PREVIOUS"
	stateCandidate = "CANDIDATE"
)

// ListModels lists the account's models, newest first.
func (s *controlService) ListModels(ctx context.Context, r *usherv1.ListModelsRequest) (*usherv1.ListModelsResponse, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err == nil {
		err = s.account(account)
	}
	if err != nil {
		return nil, err
	}
	cards, err := s.cards(ctx, account)
	if err != nil {
		return nil, err
	}
	champion, err := s.deps.Control.Champion(account)
	if err != nil {
		return nil, err
	}
	part, next, err := page(cards, r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &usherv1.ListModelsResponse{NextPageToken: next}
	for _, c := range part {
		resp.Models = append(resp.Models, s.modelTo(account, c, champion))
	}
	return resp, nil
}

// cards reads the catalogue.
func (s *controlService) cards(ctx context.Context, account string) ([]ModelCard, error) {
	if s.deps.Models == nil {
		return nil, nil
	}
	cards, err := s.deps.Models.ModelCards(ctx, account)
	if err != nil {
		return nil, unavailable("the models cannot be listed at the moment", err)
	}
	return cards, nil
}

// GetModel returns a model with its card.
func (s *controlService) GetModel(ctx context.Context, r *usherv1.GetModelRequest) (*usherv1.GetModelResponse, error) {
	account, version, err := childName(r.GetName(), "models")
	if err != nil {
		return nil, err
	}
	card, err := s.card(ctx, account, version)
	if err != nil {
		return nil, err
	}
	champion, err := s.deps.Control.Champion(account)
	if err != nil {
		return nil, err
	}
	return &usherv1.GetModelResponse{Model: s.modelTo(account, card, champion)}, nil
}

func (s *controlService) card(ctx context.Context, account, version string) (ModelCard, error) {
	if err := s.account(account); err != nil {
		return ModelCard{}, err
	}
	cards, err := s.cards(ctx, account)
	if err != nil {
		return ModelCard{}, err
	}
	for _, c := range cards {
		if c.Version == version {
			return c, nil
		}
	}
	return ModelCard{}, fault.New(fault.NotFound, "MODEL_NOT_FOUND", "there is no model %q", version)
}

// PromoteModel makes a model of the catalogue the champion.
func (s *controlService) PromoteModel(ctx context.Context, r *usherv1.PromoteModelRequest) (*usherv1.PromoteModelResponse, error) {
	account, version, err := childName(r.GetName(), "models")
	if err != nil {
		return nil, err
	}
	card, err := s.card(ctx, account, version)
	if err != nil {
		return nil, err
	}
	if err := s.deps.Control.CheckRetrain(account, version, s.deps.Now()); err != nil {
		return nil, err
	}
	made := card.read()
	trained := control.Trained{Objective: made.Objective, Version: made.ObjectiveVersion}
	champion, err := s.deps.Control.Promote(ctx, account, version, trained, author(ctx, r.GetReason()))
	if err != nil {
		return nil, err
	}
	return &usherv1.PromoteModelResponse{Model: s.modelTo(account, card, champion)}, nil
}

// RollbackModel makes the champion before live again that was trained for what the
// objective means now; the answer's reason names those passed over. It needs no catalogue: a
// bad model must go even when the warehouse is away.
func (s *controlService) RollbackModel(ctx context.Context, r *usherv1.RollbackModelRequest) (*usherv1.RollbackModelResponse, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	champion, err := s.deps.Control.Rollback(ctx, account, author(ctx, r.GetReason()))
	if err != nil {
		return nil, err
	}
	if champion.Version == "" {
		return &usherv1.RollbackModelResponse{Model: &usherv1.Model{Reason: champion.Reason}}, nil
	}
	card, err := s.card(ctx, account, champion.Version)
	if err != nil {
		card = ModelCard{Version: champion.Version}
	}
	return &usherv1.RollbackModelResponse{Model: s.modelTo(account, card, champion)}, nil
}

func (s *controlService) modelTo(account string, c ModelCard, champion control.Champion) *usherv1.Model {
	out := &usherv1.Model{Name: "accounts/" + account + "/models/" + c.Version, State: stateCandidate}
	switch c.Version {
	case champion.Version:
		out.State, out.Reason = stateChampion, champion.Reason
	case champion.Previous:
		out.State = statePrevious
	}
	if !c.Created.IsZero() {
		out.CreateTime = timestamppb.New(c.Created)
	}
	// A mark that cannot be read is told by the erasures themselves.
	if limits, err := s.deps.Control.Retrain(account); err == nil && !limits[c.Version].IsZero() {
		out.RetrainBy = timestamppb.New(limits[c.Version])
	}
	var card map[string]any
	if json.Unmarshal(c.Card, &card) == nil {
		out.Card = structOf(card)
	}
	return out
}
