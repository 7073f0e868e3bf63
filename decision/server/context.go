package server

import (
	"github.com/usherhq/usher/internal/rpc"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// contextService keeps what is known of conversations and consumers.
type contextService struct {
	usherv1.UnimplementedContextServiceServer
	*Server
}

func contextRules() map[string]rpc.Rule {
	return map[string]rpc.Rule{}
}
