SELECT on_model, on_policy, mode, value, chosen, model_only, policy_only, propensity
FROM (
    SELECT
        if(d.conversation_id != '', d.conversation_id, d.decision_id) AS unit,
        hasAny(d.reasons, ['MODEL_RANKED', 'EXPLORED']) AS on_model,
        hasAny(d.reasons, ['HOLDOUT', 'COMPARE_POLICY']) AS on_policy,
        any(d.mode) AS mode, sum(v.value) AS value, max(v.known_at) AS known,
        any(d.chosen) AS chosen, any(d.model_only) AS model_only, any(d.policy_only) AS policy_only, any(d.propensity) AS propensity
    FROM (
        SELECT decision_id, toString(conversation_id) AS conversation_id, reasons, toString(mode) AS mode, toString(chosen) AS chosen,
            toString(model_only) AS model_only, toString(policy_only) AS policy_only, propensity
        FROM decisions FINAL
        WHERE account = {account:String} AND decision_id = {id:String}
        ORDER BY time
        LIMIT 1 BY decision_id
    ) AS d
    INNER JOIN (
        SELECT w.decision_id AS decision_id,
            sumIf(a.value, a.given = 1 AND a.time <= w.closed) AS value,
            greatest(any(w.ingested), any(w.closed), maxIf(a.ingested_at, a.given = 1 AND a.time <= w.closed)) AS known_at
        FROM (
            SELECT s.decision_id AS decision_id, s.ingested AS ingested,
                fromUnixTimestamp64Milli(toUnixTimestamp64Milli(s.decided) + ob.window_ms, 'UTC') AS closed
            FROM (
                SELECT account, decision_id, min(time) AS decided, min(ingested_at) AS ingested
                FROM decisions WHERE account = {account:String} AND decision_id = {id:String} GROUP BY account, decision_id
            ) AS s
            INNER JOIN (
SELECT
    account,
    name AS objective,
    revision,
    JSONExtract(current.4, 'terms', 'Array(Tuple(kind String, weight Float64, aggregate String))') AS terms,
    JSONExtractFloat(current.4, 'bias') AS bias,
    JSONExtractFloat(current.4, 'min') AS lowest,
    if(JSONExtractFloat(current.4, 'max') > lowest, JSONExtractFloat(current.4, 'max'), lowest + 1) AS highest,
    if(JSONExtractInt(current.4, 'window_ns') > 0, intDiv(JSONExtractInt(current.4, 'window_ns'), 1000000), 2592000000) AS window_ms,
    JSONType(current.4, 'default_reward') IN ('Int64', 'UInt64', 'Double') AS has_default,
    JSONExtractFloat(current.4, 'default_reward') AS default_reward
FROM
(
    SELECT
        account,
        name,
        arraySort(x -> x.1, groupArray((offset, base, deleted, value))) AS log,
        arrayFold(
            (state, x) -> multiIf(x.2 != state OR (x.3 AND state = 0), state, x.3, toInt64(0), x.1 + 1),
            log, toInt64(0)) AS revision,
        arrayFirst(x -> (x.1 + 1) = revision, log) AS current
    FROM config_log FINAL
    WHERE kind = 'objective' AND account = {account:String}
    GROUP BY account, name
)
WHERE revision > 0 AND objective = {objective:String}
            ) AS ob ON s.account = ob.account
            WHERE closed < now64(3, 'UTC')
        ) AS w
        LEFT JOIN (
            SELECT decision_id, value, time, outcome_id, ingested_at, 1 AS given
            FROM (
SELECT
    o.account AS account, o.source AS source, o.outcome_id AS outcome_id, o.kind AS kind, o.value AS value,
    o.label AS label, o.time AS time, o.ingested_at AS ingested_at,
    d.decision_id AS decision_id, d.decided AS decision_time, 'decision' AS attributed_by
FROM (SELECT account, source, outcome_id, conversation_id, decision_id, kind, value, label, time, ingested_at
FROM outcomes FINAL
WHERE account = {account:String}
ORDER BY time
LIMIT 1 BY account, source, outcome_id) AS o
INNER JOIN (
    SELECT account, decision_id, min(time) AS decided FROM decisions WHERE account = {account:String} AND decision_id = {id:String} GROUP BY account, decision_id
) AS d ON o.account = d.account AND o.decision_id = d.decision_id
WHERE o.decision_id != '' AND o.time >= d.decided - toIntervalDay(1)
UNION ALL
SELECT
    o.account AS account, o.source AS source, o.outcome_id AS outcome_id, o.kind AS kind, o.value AS value,
    o.label AS label, o.time AS time, o.ingested_at AS ingested_at,
    d.decision_id AS decision_id, d.decided AS decision_time, 'conversation' AS attributed_by
FROM (SELECT * FROM (SELECT account, source, outcome_id, conversation_id, decision_id, kind, value, label, time, ingested_at
FROM outcomes FINAL
WHERE account = {account:String}
ORDER BY time
LIMIT 1 BY account, source, outcome_id) WHERE decision_id = '' AND conversation_id != '') AS o
ASOF INNER JOIN (
    SELECT account, conversation_id, decided, max(id) AS decision_id
    FROM (
        SELECT account, conversation_id, decision_id AS id, min(time) AS decided
        FROM decisions
        WHERE account = {account:String} AND conversation_id != ''
            AND (account, conversation_id) IN (
                SELECT account, conversation_id FROM decisions WHERE account = {account:String} AND decision_id = {id:String})
        GROUP BY account, conversation_id, id
    )
    GROUP BY account, conversation_id, decided
) AS d ON o.account = d.account AND o.conversation_id = d.conversation_id AND o.time >= d.decided
            )
            WHERE kind = {kind:String}
        ) AS a ON w.decision_id = a.decision_id
        GROUP BY w.decision_id
    ) AS v ON d.decision_id = v.decision_id
    GROUP BY unit, on_model, on_policy
    ORDER BY known DESC, unit DESC, on_model DESC
    LIMIT {limit:UInt64}
)
ORDER BY known, unit, on_model;
