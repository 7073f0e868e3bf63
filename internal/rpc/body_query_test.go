package rpc

import (
	"net/url"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// TestQueryTellsHowToWriteATime: the gateway's complaint is about Go's layouts.
func TestQueryTellsHowToWriteATime(t *testing.T) {
	cause := runtime.PopulateQueryParameters(&usherv1.ListDecisionsRequest{}, url.Values{"start_time": {"yesterday"}}, &utilities.DoubleArray{})
	if cause == nil {
		t.Fatal("the gateway takes it")
	}
	v := splitBodyError(cause.Error())[0]
	if problem := v.Description; v.Field != "start_time" || !strings.Contains(problem, "RFC 3339 such as 2026-11-22T10:00:00Z") {
		t.Errorf("%q tells %q: %q", cause, v.Field, problem)
	}
	if problem := splitBodyError(`parsing field "timeout": time: invalid duration "5"`)[0].Description; !strings.Contains(problem, "such as 0.02s") {
		t.Errorf("a duration: %q", problem)
	}
}
