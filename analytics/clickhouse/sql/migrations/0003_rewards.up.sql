-- objectives: the current version of each. The config log is folded as every
-- replica folds it: in order of offset, a record is accepted when its base is the
-- revision reached so far, and its own revision is its offset + 1.
{{view "objectives"}}
{{template "objectives" everything}};

-- attributed_outcomes: each outcome with the decision it belongs to, the one it
-- names or else the latest of its conversation before it.
{{view "attributed_outcomes"}}
{{template "attributed" everything}};

-- decision_outcomes: the reward of each decision under each objective of its
-- account, once there is one.
{{view "decision_outcomes"}}
{{template "rewards" everything}};
