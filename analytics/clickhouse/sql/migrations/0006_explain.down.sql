{{dropView "condition_log"}}
{{dropView "policy_log"}}
{{range layers "decisions"}}
ALTER TABLE {{.}}
    DROP COLUMN IF EXISTS unknown_policies,
    MODIFY COLUMN unknown_attributes REMOVE DEFAULT,
    MODIFY COLUMN policies_true REMOVE DEFAULT,
    MODIFY COLUMN policies_false REMOVE DEFAULT,
    MODIFY COLUMN policies_unknown REMOVE DEFAULT,
    MODIFY COLUMN policies_error REMOVE DEFAULT;
{{end}}
