package explore_test

import (
	"math"
	"testing"

	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/explore"
)

func TestProbabilitiesSumToOne(t *testing.T) {
	scores := []model.Score{{Value: 0.1}, {Value: 0.5}, {Value: 0.2}}
	p := make([]float64, 3)
	explore.Probabilities(explore.DefaultConfig(), scores, nil, p)
	if sum := p[0] + p[1] + p[2]; math.Abs(sum-1) > 1e-12 || p[1] < 0.9 || p[0] <= 0 {
		t.Errorf("probabilities %v", p)
	}
}
