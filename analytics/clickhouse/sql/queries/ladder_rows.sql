-- ladder_rows
-- Which side a decision was on is in its reasons: policy's, the model's, or neither,
-- as of what a policy fixed. Rows come in the order in which their values became
-- known, which is the order that a test over time needs.
SELECT
    hasAny(d.reasons, ['MODEL_RANKED', 'EXPLORED']) AS on_model,
    hasAny(d.reasons, ['HOLDOUT', 'COMPARE_POLICY']) AS on_policy,
    d.mode, v.value, d.chosen, d.model_only, d.policy_only, d.propensity
FROM (
    SELECT decision_id, time, reasons, toString(mode) AS mode, toString(chosen) AS chosen, toString(model_only) AS model_only,
        toString(policy_only) AS policy_only, propensity
    FROM decisions FINAL
    WHERE {{.Account}} AND {{.Target}}
    ORDER BY time
    LIMIT 1 BY decision_id
) AS d
INNER JOIN (
    SELECT decision_id, value, known_at
    FROM (
{{- if .Kind}}
        SELECT decision_id, argMax(value, (time, outcome_id)) AS value, max(ingested_at) AS known_at
        FROM (
            {{template "attributed" .}}
        )
        WHERE kind = {kind:String}
        GROUP BY decision_id
{{- else}}
        SELECT decision_id, reward AS value, known_at
        FROM (
            {{template "rewards" .}}
        )
{{- end}}
    )
    ORDER BY known_at DESC, decision_id DESC
    LIMIT {limit:UInt64}
) AS v ON d.decision_id = v.decision_id
ORDER BY v.known_at, d.decision_id
