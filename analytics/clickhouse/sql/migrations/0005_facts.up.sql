-- How the facts of a decision were found, how far its policy had come, and what
-- its policies said. call_* are parallel, one element per function that was called;
-- policies_true and policies_false are the policies of the trace by their state, and
-- unknown_attributes has one element per condition that was UNKNOWN.
{{range layers "decisions"}}
ALTER TABLE {{.}}
    ADD COLUMN IF NOT EXISTS step Int32,
    ADD COLUMN IF NOT EXISTS valid_for_ns Int64,
    ADD COLUMN IF NOT EXISTS waited_ns Int64,
    ADD COLUMN IF NOT EXISTS only_policy LowCardinality(String),
    ADD COLUMN IF NOT EXISTS redacted Array(LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS sources Map(LowCardinality(String), String),
    ADD COLUMN IF NOT EXISTS call_functions Array(LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS call_attributes Array(LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS call_results Array(LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS call_latencies_ns Array(Int64),
    ADD COLUMN IF NOT EXISTS call_fallbacks Array(Bool),
    ADD COLUMN IF NOT EXISTS policies_true Array(LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS policies_false Array(LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS policies_unknown Array(LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS policies_error Array(LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS exception Bool,
    ADD COLUMN IF NOT EXISTS unknown_attributes Array(LowCardinality(String));
{{end}}
