-- ladder_rows
-- Which side a decision was on is in its reasons: policy's, the model's, or neither,
-- as of what a policy fixed. Rows come in the order in which their values became
-- known, which is the order that a test over time needs. Where silence has a value,
-- a decision counts once its window is over and not before: else those whose outcomes
-- come fast would count first, and with other values than silence has.
SELECT on_model, on_policy, mode, value, chosen, model_only, policy_only, propensity
FROM (
    SELECT
        {{if .Conversations}}if(d.conversation_id != '', d.conversation_id, d.decision_id){{else}}d.decision_id{{end}} AS unit,
        hasAny(d.reasons, ['MODEL_RANKED', 'EXPLORED']) AS on_model,
        hasAny(d.reasons, ['HOLDOUT', 'COMPARE_POLICY']) AS on_policy,
        any(d.mode) AS mode, {{if and .Kind (not .Rated)}}sum{{else}}avg{{end}}(v.value) AS value, max(v.known_at) AS known,
        any(d.chosen) AS chosen, any(d.model_only) AS model_only, any(d.policy_only) AS policy_only, any(d.propensity) AS propensity
    FROM (
        SELECT decision_id, toString(conversation_id) AS conversation_id, reasons, toString(mode) AS mode, toString(chosen) AS chosen,
            toString(model_only) AS model_only, toString(policy_only) AS policy_only, propensity
        FROM decisions FINAL
        WHERE {{.Account}} AND {{.Target}}
        ORDER BY time
        LIMIT 1 BY decision_id
    ) AS d
    INNER JOIN (
{{- if .Kind}}
        SELECT w.decision_id AS decision_id,
            {{if .Rated}}argMaxIf(a.value, (a.time, a.outcome_id), a.given = 1 AND a.time <= w.closed){{else}}sumIf(a.value, a.given = 1 AND a.time <= w.closed){{end}} AS value,
            greatest(any(w.ingested), {{if not .Rated}}any(w.closed), {{end}}maxIf(a.ingested_at, a.given = 1 AND a.time <= w.closed)) AS known_at
        FROM (
            SELECT s.decision_id AS decision_id, s.ingested AS ingested,
                fromUnixTimestamp64Milli(toUnixTimestamp64Milli(s.decided) + ob.window_ms, 'UTC') AS closed
            FROM (
                SELECT account, decision_id, min(time) AS decided, min(ingested_at) AS ingested
                FROM decisions WHERE {{.Account}} AND {{.Target}} GROUP BY account, decision_id
            ) AS s
            INNER JOIN (
                {{template "objectives" .}}
            ) AS ob ON s.account = ob.account
{{- if not .Rated}}
            WHERE closed < {{.Now}}
{{- end}}
        ) AS w
        LEFT JOIN (
            SELECT decision_id, value, time, outcome_id, ingested_at, 1 AS given
            FROM (
                {{template "attributed" .}}
            )
            WHERE kind = {kind:String}
        ) AS a ON w.decision_id = a.decision_id
        GROUP BY w.decision_id
{{- if .Rated}}
        HAVING countIf(a.given = 1 AND a.time <= w.closed) > 0
{{- end}}
{{- else}}
        SELECT r.decision_id AS decision_id, r.reward AS value,
            if(ob.has_default, greatest(r.known_at, closed), r.known_at) AS known_at,
            fromUnixTimestamp64Milli(toUnixTimestamp64Milli(r.decision_time) + ob.window_ms, 'UTC') AS closed
        FROM (
            {{template "rewards" .}}
        ) AS r
        INNER JOIN (
            {{template "objectives" .}}
        ) AS ob ON r.account = ob.account
        WHERE NOT ob.has_default OR closed < {{.Now}}
{{- end}}
    ) AS v ON d.decision_id = v.decision_id
    GROUP BY unit, on_model, on_policy
    ORDER BY known DESC, unit DESC, on_model DESC
    LIMIT {limit:UInt64}
)
ORDER BY known, unit, on_model
