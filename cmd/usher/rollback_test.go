package main

import (
	"fmt"
	"strings"
)

// rollBack takes a model back by one call: decisions name the one before at once,
// and the trainer leaves it so.
func (s *site) rollBack() {
	s.t.Helper()
	var list struct {
		Models []struct{ Card struct{ Version string } }
	}
	s.api().must("GET", "/v1/accounts/default/models", nil, &list)
	if len(list.Models) < 2 {
		s.t.Fatalf("%d models, two are needed to go back", len(list.Models))
	}
	for _, m := range []int{1, 0} {
		s.api().must("POST", "/v1/accounts/default/models/"+list.Models[m].Card.Version+":promote", map[string]any{}, nil)
	}
	var back struct{ Name string }
	s.api().must("POST", "/v1/accounts/default/models:rollback", map[string]any{"reason": "worse"}, &back)
	if back.Name == "" {
		s.t.Fatal("the rollback names no model")
	}
	eventually(s.t, "the model before answers", func() error {
		if _, last := s.converse(1); last.ModelVersion == "" || !strings.HasSuffix(back.Name, "/"+last.ModelVersion) {
			return fmt.Errorf("%q answers, %s should", last.ModelVersion, back.Name)
		}
		return nil
	})
}
