DROP VIEW IF EXISTS condition_log SYNC;

DROP VIEW IF EXISTS policy_log SYNC;

ALTER TABLE decisions
    DROP COLUMN IF EXISTS unknown_policies,
    MODIFY COLUMN unknown_attributes REMOVE DEFAULT,
    MODIFY COLUMN policies_true REMOVE DEFAULT,
    MODIFY COLUMN policies_false REMOVE DEFAULT,
    MODIFY COLUMN policies_unknown REMOVE DEFAULT,
    MODIFY COLUMN policies_error REMOVE DEFAULT;
