package demo

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/structpb"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// objectiveID names the objective that the demo's models optimise.
const objectiveID = "default"

// rules are the desk's explicit policies, in order. None of them is learned.
func rules() []*usherv1.Policy {
	return []*usherv1.Policy{
		rule("priority-1", "Priority 1 stays where the dispatcher sent it",
			"An outage is no place for experiments.",
			all(leaf("priority", "equal", 1)),
			map[string]any{"fixed": map[string]any{"actions": []any{
				map[string]any{"type": "TRANSFER_TO_SKILL", "target": "{{first_group}}"},
			}}}),
		rule("no-email-for-20", "Group 20 takes no e-mail",
			"The group works from the phone queue only.",
			all(leaf("channel", "equal", "Email")),
			map[string]any{"deny": map[string]any{"targets": []any{"20"}}}),
		rule("business-hours", "Groups 69 and 75 keep office hours",
			"Before 7 and from 20 on nobody of them is there.",
			map[string]any{"not": leaf("hour", "between", []any{7, 19})},
			map[string]any{"deny": map[string]any{"targets": []any{"69", "75"}}}),
	}
}

func rule(id, title, why string, when, effect map[string]any) *usherv1.Policy {
	return &usherv1.Policy{
		Name: id, DisplayName: title, Description: why, Enabled: new(true),
		When: document(when), Effect: document(effect),
	}
}

func all(leaves ...any) map[string]any { return map[string]any{"all": leaves} }

func leaf(attribute, operator string, value any) map[string]any {
	return map[string]any{"attribute": attribute, "operator": operator, "value": value}
}

// document turns a literal of this package into a Struct. The literals hold only
// JSON types, so the conversion cannot fail.
func document(m map[string]any) *structpb.Struct {
	s, err := structpb.NewStruct(m)
	if err != nil {
		return &structpb.Struct{}
	}
	return s
}

// setUp opens the account, says what counts as good, writes the policies and
// starts in the shadow.
func setUp(ctx context.Context, c client, account string) error {
	parent := "accounts/" + account
	_, err := c.control.CreateAccount(ctx, &usherv1.CreateAccountRequest{
		AccountId: account,
		Account: &usherv1.Account{
			DisplayName:   "Incident demo",
			DefaultEffect: document(map[string]any{"rank": map[string]any{"objective": objectiveID}}),
		},
	})
	if err != nil {
		return fmt.Errorf("create account: %w", err)
	}
	if err := setObjective(ctx, c, parent); err != nil {
		return err
	}
	for _, p := range rules() {
		if _, err := c.policies.CreatePolicy(ctx, &usherv1.CreatePolicyRequest{Parent: parent, PolicyId: p.GetName(), Policy: p}); err != nil {
			return fmt.Errorf("create policy %s: %w", p.GetName(), err)
		}
	}
	return setMode(ctx, c, account, "SHADOW", "the model watches first")
}

func setObjective(ctx context.Context, c client, parent string) error {
	objective := &usherv1.Objective{
		Name: parent + "/objectives/" + objectiveID, Description: "The first assignment is the right one.",
		Terms: []*usherv1.ObjectiveTerm{{Kind: "right_group", Weight: 1}}, Max: 1,
	}
	_, err := c.control.GetObjective(ctx, &usherv1.GetObjectiveRequest{Name: objective.GetName()})
	if err == nil {
		_, err = c.control.UpdateObjective(ctx, &usherv1.UpdateObjectiveRequest{Objective: objective})
	} else {
		_, err = c.control.CreateObjective(ctx, &usherv1.CreateObjectiveRequest{Parent: parent, ObjectiveId: objectiveID, Objective: objective})
	}
	if err != nil {
		return fmt.Errorf("set objective: %w", err)
	}
	return nil
}

func setMode(ctx context.Context, c client, account, mode, reason string) error {
	_, err := c.control.UpdateMode(ctx, &usherv1.UpdateModeRequest{
		Mode:   &usherv1.Mode{Name: "accounts/" + account + "/modes/account", Mode: mode, Objective: objectiveID},
		Reason: reason,
	})
	if err != nil {
		return fmt.Errorf("set mode %s: %w", mode, err)
	}
	return nil
}
