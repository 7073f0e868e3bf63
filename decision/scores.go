package decision

import "github.com/usherhq/usher/model"

// ScoreSource gives the scores that a decision once had, from memory: a replay
// against other policies needs no model. One engine's source is asked by one
// decision at a time.
type ScoreSource interface {
	// Scores fills out with the score of the candidate of each key and returns the
	// version of the model that gave them; false when it lacks one of them.
	Scores(keys []string, out []model.Score) (version string, ok bool)
}

// scoreFromRecord takes the scores of Deps.Scores, when there are such.
func (t *turn) scoreFromRecord() bool {
	source := t.engine.deps.Scores
	if source == nil {
		return false
	}
	keys := make([]string, len(t.d.Candidates))
	for i := range t.d.Candidates {
		keys[i] = t.d.Candidates[i].Key()
	}
	s := t.scratch
	s.scores = resize(s.scores, len(keys))
	version, ok := source.Scores(keys, s.scores)
	if !ok {
		return false
	}
	t.d.ModelVersion, t.scored = version, true
	for i := range t.d.Candidates {
		t.setScore(i)
	}
	return true
}

// setScore writes a score of the scratch into the record, with what the policy's
// lever makes of it.
func (t *turn) setScore(i int) {
	c, s := &t.d.Candidates[i], &t.scratch.scores[i]
	c.Score, c.StdErr, c.Known = s.Value, s.StdErr, s.Known
	t.price(i, c.Score*t.factor(i))
}
