package server

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/model"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// LearningState is what there is to learn from; see analytics.LearningState.
type LearningState struct {
	Rows, Open int64
	Maturity   float64
	Explored   map[string]int64 // decisions of the last hour given to exploration
	// NextFit says in words what the next fit waits for, given the rows of the newest
	// model and when it was made.
	NextFit func(rows int64, fitted time.Time) string
}

// LearningSource answers how learning is, from what is stored.
type LearningSource interface {
	LearningState(ctx context.Context, account, objective string) (LearningState, error)
	// Arms lists what decisions could choose among lately.
	Arms(ctx context.Context, account string) ([]string, error)
}

// LiveModels are the models that this process decides by.
type LiveModels interface {
	Current(account string) *model.Model
}

// readCard is the part of a card that the state of learning shows.
type readCard struct {
	Objective        string    `json:"objective"`
	ObjectiveVersion int64     `json:"objective_version"`
	Created          time.Time `json:"created_time"`
	Rows             int64     `json:"rows"`
	Watermark        time.Time `json:"watermark"`
	Gate             string    `json:"gate"`
	GateReason       string    `json:"gate_reason"`
	Drift            []struct {
		What      string  `json:"what"`
		Reference float64 `json:"reference"`
		Recent    float64 `json:"recent"`
		Distance  float64 `json:"distance"`
		Alarming  bool    `json:"alarming"`
		Detail    string  `json:"detail"`
	} `json:"drift"`
}

// read takes the card apart; what is not there stays zero.
func (c *ModelCard) read() readCard {
	var card readCard
	_ = json.Unmarshal(c.Card, &card) // a card that cannot be read says nothing
	return card
}

// GetLearning answers the state of an account's learning.
func (s *learningService) GetLearning(ctx context.Context, r *usherv1.GetLearningRequest) (*usherv1.GetLearningResponse, error) {
	account, err := parentAccount("name", r.GetName())
	if err == nil {
		err = s.account(account)
	}
	if err != nil {
		return nil, err
	}
	if s.deps.Learning == nil || s.deps.Models == nil {
		return nil, errNoLearning()
	}
	objective := control.DefaultObjective
	if mode, ok := s.deps.Control.Mode(account, decision.ScopeAccount); ok {
		objective = cmp.Or(mode.Objective, objective)
	}
	st, err := s.deps.Learning.LearningState(ctx, account, objective)
	if err != nil {
		return nil, unavailable("the state of learning cannot be read at the moment", err)
	}
	cards, err := s.deps.Models.ModelCards(ctx, account)
	if err != nil {
		return nil, unavailable("the models cannot be listed at the moment", err)
	}
	champion, err := s.deps.Control.Champion(account)
	if err != nil {
		return nil, err
	}
	out := &usherv1.Learning{
		Objective: objective, Model: champion.Version, Rows: st.Rows, OpenRows: st.Open, Maturity: st.Maturity,
		ExploredLastHour: st.Explored,
	}
	s.fillModels(out, cards, champion)
	if st.NextFit != nil {
		newest := readCard{}
		if len(cards) > 0 {
			newest = cards[0].read()
		}
		out.NextFit = st.NextFit(newest.Rows, newest.Created)
	}
	limits, err := s.deps.Control.Retrain(account)
	if err != nil {
		return nil, err
	}
	if limit, marked := limits[champion.Version]; marked {
		out.RetrainBy = timestamppb.New(limit)
	}
	return &usherv1.GetLearningResponse{Learning: out}, nil
}

// fillModels tells of the live model and of the newest one.
func (s *learningService) fillModels(out *usherv1.Learning, cards []ModelCard, champion control.Champion) {
	if at := slices.IndexFunc(cards, func(c ModelCard) bool { return c.Version == champion.Version }); at >= 0 {
		live := cards[at].read()
		out.ModelTime = timestamppb.New(cards[at].Created)
		if !live.Watermark.IsZero() {
			out.Staleness = durationpb.New(max(0, s.deps.Now().Sub(live.Watermark)))
		}
	}
	if len(cards) == 0 {
		return
	}
	newest := cards[0].read()
	out.LastFitTime, out.Gate, out.GateReason = timestamppb.New(cards[0].Created), newest.Gate, newest.GateReason
	for _, d := range newest.Drift {
		out.Drift = append(out.Drift, &usherv1.Drift{
			What: d.What, Reference: d.Reference, Recent: d.Recent, Distance: d.Distance, Alarming: d.Alarming, Detail: d.Detail,
		})
	}
}

// ListObjectiveVersions lists an objective's versions, newest first.
func (s *learningService) ListObjectiveVersions(ctx context.Context, r *usherv1.ListObjectiveVersionsRequest) (*usherv1.ListObjectiveVersionsResponse, error) {
	account, id, err := childName(r.GetParent(), "objectives")
	if err == nil {
		err = s.account(account)
	}
	if err != nil {
		return nil, err
	}
	all, err := s.deps.Control.ObjectiveVersions(account, id)
	if err != nil {
		return nil, err
	}
	var cards []ModelCard
	if s.deps.Models != nil {
		if cards, err = s.deps.Models.ModelCards(ctx, account); err != nil {
			return nil, unavailable("the models cannot be listed at the moment", err)
		}
	}
	part, next, err := page(all, r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &usherv1.ListObjectiveVersionsResponse{NextPageToken: next}
	for _, v := range part {
		one := &usherv1.ObjectiveVersion{Objective: objectiveTo(account, v.Objective), Author: v.Author, Reason: v.Reason}
		for i := range cards {
			if card := cards[i].read(); card.Objective == id && card.ObjectiveVersion == v.Version {
				one.Models = append(one.Models, cards[i].Version)
			}
		}
		resp.Versions = append(resp.Versions, one)
	}
	return resp, nil
}

// ListArms lists the live model's arms, the best known first.
func (s *learningService) ListArms(ctx context.Context, r *usherv1.ListArmsRequest) (*usherv1.ListArmsResponse, error) {
	account, err := parentAccount("parent", r.GetParent())
	if err == nil {
		err = s.account(account)
	}
	if err != nil {
		return nil, err
	}
	if s.deps.Live == nil || s.deps.Learning == nil {
		return nil, errNoLearning()
	}
	names, err := s.deps.Learning.Arms(ctx, account)
	if err != nil {
		return nil, unavailable("the arms cannot be listed at the moment", err)
	}
	var arms []*usherv1.LearningArm
	if m := s.deps.Live.Current(account); m != nil {
		for _, id := range names {
			e := m.Evidence(id)
			arms = append(arms, &usherv1.LearningArm{
				Arm: id, Rows: e.Rows, Positives: e.Positives, MeanReward: e.MeanReward, ShareCap: decision.ShareCap(e.Positives),
			})
		}
	}
	slices.SortStableFunc(arms, func(a, b *usherv1.LearningArm) int {
		return cmp.Or(cmp.Compare(b.GetRows(), a.GetRows()), cmp.Compare(a.GetArm(), b.GetArm()))
	})
	part, next, err := page(arms, r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	return &usherv1.ListArmsResponse{Arms: part, NextPageToken: next}, nil
}
