package server

import (
	"github.com/usherhq/usher/internal/rpc"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// tokenService issues keys.
type tokenService struct {
	usherv1.UnimplementedTokenServiceServer
	*Server
}

func tokenRules() map[string]rpc.Rule {
	return map[string]rpc.Rule{}
}
