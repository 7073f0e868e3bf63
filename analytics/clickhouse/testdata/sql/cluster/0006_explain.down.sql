DROP VIEW IF EXISTS condition_log ON CLUSTER usher SYNC;

DROP VIEW IF EXISTS policy_log ON CLUSTER usher SYNC;

ALTER TABLE decisions_local ON CLUSTER usher
    DROP COLUMN IF EXISTS unknown_policies,
    MODIFY COLUMN unknown_attributes REMOVE DEFAULT,
    MODIFY COLUMN policies_true REMOVE DEFAULT,
    MODIFY COLUMN policies_false REMOVE DEFAULT,
    MODIFY COLUMN policies_unknown REMOVE DEFAULT,
    MODIFY COLUMN policies_error REMOVE DEFAULT;

ALTER TABLE decisions ON CLUSTER usher
    DROP COLUMN IF EXISTS unknown_policies,
    MODIFY COLUMN unknown_attributes REMOVE DEFAULT,
    MODIFY COLUMN policies_true REMOVE DEFAULT,
    MODIFY COLUMN policies_false REMOVE DEFAULT,
    MODIFY COLUMN policies_unknown REMOVE DEFAULT,
    MODIFY COLUMN policies_error REMOVE DEFAULT;
