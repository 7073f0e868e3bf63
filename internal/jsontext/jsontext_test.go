package jsontext_test

import (
	"encoding/json"
	"math"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	"github.com/usherhq/usher/internal/jsontext"
)

// both asks of what was appended that it is what either encoder writes.
func both(t rapid.TB, v any, got []byte) {
	t.Helper()
	one, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	value, err := structpb.NewValue(v)
	if err != nil {
		t.Fatal(err)
	}
	two, err := protojson.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if string(one) != string(got) || string(two) != string(got) {
		t.Errorf("%v is %s, the encoders write %s and %s", v, got, one, two)
	}
}

func TestEveryByte(t *testing.T) {
	for c := range 128 {
		s := "a" + string(rune(c))
		if out, ok := jsontext.AppendString(nil, s); ok {
			both(t, s, out)
		} else if out != nil {
			t.Errorf("byte %d is refused and appended", c)
		}
	}
	if _, ok := jsontext.AppendString(nil, "plain text, 100 %"); !ok {
		t.Error("plain text is refused")
	}
}

func TestNumbers(t *testing.T) {
	for _, f := range []float64{0, 1, -1, 999_999_999_999_999, -999_999_999_999_999} {
		if _, ok := jsontext.AppendNumber(nil, f); !ok {
			t.Errorf("%g is refused", f)
		}
	}
	for _, f := range []float64{math.Copysign(0, -1), 1e15, 0.5, math.NaN(), math.Inf(1), 1e300} {
		if out, ok := jsontext.AppendNumber(nil, f); ok || out != nil {
			t.Errorf("%g is %s", f, out)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.OneOf(rapid.Float64(), rapid.Map(rapid.Int64(), func(n int64) float64 { return float64(n) })).Draw(t, "f")
		if out, ok := jsontext.AppendNumber(nil, f); ok {
			both(t, f, out)
		}
	})
}
