package server

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usherhq/usher/decision/control"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// PersonHasher turns the id of a person into the keyed hash that the installation
// knows them by once they are forgotten. The same id has the same hash for ever, in
// every process; who does not have the key can make nothing of it.
type PersonHasher interface {
	HashID(ctx context.Context, id string) (string, error)
}

// maxConsumerID is the length of ids in bytes.
const maxConsumerID = 256

// EraseConsumer takes a request to forget a person. What it writes down names them by
// their hash alone, so a restart goes on without ever having kept their id.
func (s *learningService) EraseConsumer(ctx context.Context, r *usherv1.EraseConsumerRequest) (*usherv1.EraseConsumerResponse, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err != nil {
		return nil, err
	}
	switch id := r.GetConsumerId(); {
	case id == "":
		return nil, invalid("consumer_id", "is missing")
	case len(id) > maxConsumerID:
		return nil, invalid("consumer_id", "is longer than %d bytes", maxConsumerID)
	}
	if err := s.account(account); err != nil {
		return nil, err
	}
	if s.deps.People == nil {
		return nil, errNoLearning()
	}
	hash, err := s.deps.People.HashID(ctx, r.GetConsumerId())
	if err != nil {
		return nil, unavailable("the request cannot be taken at the moment: nothing was erased", err)
	}
	e, err := s.deps.Control.RequestErasure(ctx, account, hash, s.deps.Now(), author(ctx, r.GetReason()))
	if err != nil {
		return nil, err
	}
	return &usherv1.EraseConsumerResponse{Erasure: erasureTo(e)}, nil
}

// ListErasures lists the requests, newest first.
func (s *learningService) ListErasures(_ context.Context, r *usherv1.ListErasuresRequest) (*usherv1.ListErasuresResponse, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err == nil {
		err = s.account(account)
	}
	if err != nil {
		return nil, err
	}
	all, err := s.deps.Control.Erasures(account)
	if err != nil {
		return nil, err
	}
	part, next, err := page(all, r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &usherv1.ListErasuresResponse{NextPageToken: next}
	for _, e := range part {
		resp.Erasures = append(resp.Erasures, erasureTo(e))
	}
	return resp, nil
}

func erasureTo(e control.Erasure) *usherv1.Erasure {
	out := &usherv1.Erasure{
		ConsumerHash: e.Hash, RequestTime: timestamppb.New(e.Requested),
		Decisions: e.Decisions, Outcomes: e.Outcomes, Contexts: e.Contexts,
		Models: e.Models, State: e.State, Detail: e.Detail, Author: e.Author,
	}
	if !e.Done.IsZero() {
		out.DoneTime = timestamppb.New(e.Done)
	}
	if !e.RetrainBy.IsZero() {
		out.RetrainBy = timestamppb.New(e.RetrainBy)
	}
	return out
}
