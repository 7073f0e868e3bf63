{{range layers "decisions"}}
ALTER TABLE {{.}}
    DROP COLUMN IF EXISTS step,
    DROP COLUMN IF EXISTS valid_for_ns,
    DROP COLUMN IF EXISTS waited_ns,
    DROP COLUMN IF EXISTS only_policy,
    DROP COLUMN IF EXISTS redacted,
    DROP COLUMN IF EXISTS sources,
    DROP COLUMN IF EXISTS call_functions,
    DROP COLUMN IF EXISTS call_attributes,
    DROP COLUMN IF EXISTS call_results,
    DROP COLUMN IF EXISTS call_latencies_ns,
    DROP COLUMN IF EXISTS call_fallbacks,
    DROP COLUMN IF EXISTS policies_true,
    DROP COLUMN IF EXISTS policies_false,
    DROP COLUMN IF EXISTS policies_unknown,
    DROP COLUMN IF EXISTS policies_error,
    DROP COLUMN IF EXISTS exception,
    DROP COLUMN IF EXISTS unknown_attributes;
{{end}}
