package main

import (
	"bytes"
	"strings"
	"testing"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

func TestValueReportTrustsNothingThatTheLogCannotTell(t *testing.T) {
	for _, trusted := range []bool{true, false} {
		var out bytes.Buffer
		err := (&world{streams: streams{out: &out}}).valueReport(&usherv1.EstimateValueResponse{Estimate: &usherv1.ValueEstimate{
			Trusted: trusted, Default: "dr",
			Estimates: map[string]*usherv1.Estimate{"dr": {Lower: 0, Upper: 1, Interval: "clopper_pearson"}},
		}}, "")
		if err != nil {
			t.Fatal(err)
		}
		text := out.String()
		if strings.Contains(text, "* to be trusted") != trusted || strings.Contains(text, "not to be trusted here") == trusted {
			t.Errorf("trusted %v:\n%s", trusted, text)
		}
	}
}
