package server

import (
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/rpc"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// learningService answers what was learned and how far to believe it.
type learningService struct {
	usherv1.UnimplementedLearningServiceServer
	*Server
}

func learningRules() map[string]rpc.Rule {
	look := rpc.Rule{Scope: rpc.ScopeRead, Account: byParent}
	change := rpc.Rule{Scope: rpc.ScopeAdmin, Account: byName}
	return map[string]rpc.Rule{
		"GetLearning":           {Scope: rpc.ScopeRead, Account: byName},
		"EstimateValue":         {Scope: rpc.ScopeRead, Account: byParent, Timeout: simulationTimeout},
		"DistilModel":           {Scope: rpc.ScopeRead, Account: byName, Timeout: simulationTimeout},
		"ListLadder":            look,
		"AdvanceMode":           change,
		"RetreatMode":           change,
		"ListArms":              look,
		"ListObjectiveVersions": look,
		"EraseConsumer":         {Scope: rpc.ScopeAdmin, Account: byParent},
		"ListErasures":          {Scope: rpc.ScopeAdmin, Account: byParent},
	}
}

// errNoLearning is why a part that this process does without is Unavailable.
func errNoLearning() error {
	return fault.New(fault.Unavailable, "NO_LEARNING", "this process does not look after learning")
}
