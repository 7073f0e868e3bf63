package rpc_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// Asking for the health of a service that does not exist is no fault of ours.
func TestHealthOfAnUnknownService(t *testing.T) {
	f := start(t, nil)
	_, err := healthpb.NewHealthClient(f.conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: "no.such.Service"})
	if status.Code(err) != codes.NotFound {
		t.Errorf("Check = %v, want NotFound", err)
	}
	if f.logs.Len() > 0 {
		t.Errorf("it is logged: %s", f.logs)
	}
}
