package server

import (
	"github.com/usherhq/usher/internal/rpc"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// catalogService governs what policies can speak of.
type catalogService struct {
	usherv1.UnimplementedCatalogServiceServer
	*Server
}

func catalogRules() map[string]rpc.Rule {
	return map[string]rpc.Rule{}
}
