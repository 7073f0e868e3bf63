package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/usherhq/usher/internal/fault"
)

// Domain is the domain of every ErrorInfo.
const Domain = "usher"

// tooLarge is the reason of faults of kind TooLarge.
const tooLarge = "TOO_LARGE"

// status turns the error of a method into the one that goes out. What has no
// kind is a bug or an outage of ours: it is logged with an id, and the caller
// learns nothing but the id.
func (g *guard) status(method string, err error) error {
	if e, ok := errors.AsType[*fault.Error](err); ok && e.Kind != fault.Internal {
		if e.Kind == fault.Unavailable {
			g.log.Warn("call found a part away", "method", method, "error", err)
		}
		return statusOf(e).Err()
	}
	switch code := status.Code(err); {
	case errors.Is(err, context.Canceled) || code == codes.Canceled:
		return status.New(codes.Canceled, "the caller went away").Err()
	case errors.Is(err, context.DeadlineExceeded) || code == codes.DeadlineExceeded:
		return status.New(codes.DeadlineExceeded, "not done in time").Err()
	case code == codes.Unimplemented:
		return status.New(codes.Unimplemented, "this server does not offer "+method).Err()
	}
	return g.internal(method, "error", slog.Any("error", err))
}

// internal logs what went wrong and returns an error that shows only an id.
func (g *guard) internal(method, what string, attrs ...any) error {
	id := g.newID()
	g.log.Error("call broke", append([]any{"method", method, "what", what, "error_id", id}, attrs...)...)
	e := fault.New(fault.Internal, "INTERNAL", "internal error, logged as %s", id)
	e.Metadata = map[string]string{"error_id": id}
	return statusOf(e).Err()
}

// statusOf is the google.rpc.Status of a fault: an ErrorInfo with its reason and
// metadata, every violation as a BadRequest, and a RetryInfo when it names a time.
func statusOf(e *fault.Error) *status.Status {
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: e.Reason, Domain: Domain, Metadata: e.Metadata}}
	message := e.Message
	if len(e.Violations) > 0 {
		bad := &errdetails.BadRequest{}
		for _, v := range e.Violations {
			bad.FieldViolations = append(bad.FieldViolations,
				&errdetails.BadRequest_FieldViolation{Field: v.Field, Description: v.Description})
		}
		details = append(details, bad)
		message += fmt.Sprintf(": %s: %s", e.Violations[0].Field, e.Violations[0].Description)
		if more := len(e.Violations) - 1; more > 0 {
			message += fmt.Sprintf(" (and %d more)", more)
		}
	}
	if seconds, err := strconv.ParseFloat(e.Metadata[retryAfter], 64); err == nil {
		wait := time.Duration(seconds * float64(time.Second))
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(wait)})
	}
	st := status.New(codeOf(e.Kind), message)
	detailed, err := st.WithDetails(details...)
	if err != nil {
		return st
	}
	return detailed
}

// codeOf maps a kind to the code of the wire.
func codeOf(k fault.Kind) codes.Code {
	switch k {
	case fault.Invalid:
		return codes.InvalidArgument
	case fault.NotFound:
		return codes.NotFound
	case fault.Exists:
		return codes.AlreadyExists
	case fault.Conflict:
		return codes.Aborted
	case fault.Denied:
		return codes.PermissionDenied
	case fault.NoIdentity:
		return codes.Unauthenticated
	case fault.Exhausted, fault.TooLarge:
		return codes.ResourceExhausted
	case fault.Unavailable:
		return codes.Unavailable
	case fault.Precondition:
		return codes.FailedPrecondition
	case fault.Internal:
		return codes.Internal
	}
	return codes.Internal
}
