{{dropView "decision_outcomes"}}
{{dropView "attributed_outcomes"}}
{{dropView "objectives"}}
