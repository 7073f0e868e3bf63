package model

// quality keeps the recent progressive loss of each family, to choose by, and the
// recent mean reward. All are sums that fade.
type quality struct {
	sparse, dense, weight float64
	reward, count         float64
}

const (
	lossMemory = 1 - 1.0/2000 // about the last 2,000 examples count
	// rewardMemory is shorter: hope should follow success closely.
	rewardMemory = 1 - 1.0/1000

	priorLoss  = 0.25
	priorCount = 4
)

// observe takes in the squared errors of both families on one example.
func (q *quality) observe(sparse, dense float64) {
	q.sparse = q.sparse*lossMemory + sparse
	q.dense = q.dense*lossMemory + dense
	q.weight = q.weight*lossMemory + 1
}

// reached takes in the reward of a decision without a baseline.
func (q *quality) reached(reward float64) {
	q.reward = q.reward*rewardMemory + reward
	q.count = q.count*rewardMemory + 1
}

// room returns the share of the reward range that decisions have not reached of
// late: what there is left to find by trying.
func (q *quality) room() float64 { return min(max(1-q.reward/(q.count+1), 0), 1) }

// denseLoss returns the mean squared error of the dense family.
func (q *quality) denseLoss() float64 {
	return (q.dense + priorLoss*priorCount) / (q.weight + priorCount)
}

// useDense reports whether the dense family decides: while there are numbers,
// unless the sparse one predicts better.
func (c *core) useDense() bool {
	return c.dense.dims.len() > 0 && !c.dense.off && c.quality.dense <= c.quality.sparse
}

func (c *core) family() string {
	if c.useDense() {
		return "dense"
	}
	return "sparse"
}
