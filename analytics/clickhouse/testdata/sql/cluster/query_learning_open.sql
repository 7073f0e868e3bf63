WITH (
    SELECT max(window_ms) FROM (
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
    )
) AS window_ms
SELECT count(), groupArraySample(1000, 1)(toUnixTimestamp64Milli(now64(3, 'UTC')) - toUnixTimestamp64Milli(time))
FROM (SELECT * EXCEPT (record) FROM decisions FINAL WHERE account = {account:String} AND chosen != ''
    AND toUnixTimestamp64Milli(time) + window_ms >= toUnixTimestamp64Milli(now64(3, 'UTC')))
WHERE decision_id NOT IN (
    SELECT decision_id FROM (
        SELECT
    d.account AS account,
    ob.objective AS objective,
    ob.revision AS objective_revision,
    d.decision_id AS decision_id,
    d.time AS decision_time,
    d.objective = ob.objective AS own,
    s.outcomes AS outcomes,
    s.outcomes = 0 AS silent,
    if(s.outcomes > 0, least(greatest(ob.bias + s.parts, ob.lowest), ob.highest), ob.default_reward) AS reward,
    if(s.outcomes > 0, s.last_time, fromUnixTimestamp64Milli(toUnixTimestamp64Milli(d.time) + ob.window_ms, 'UTC')) AS reward_time,
    greatest(d.ingested_at, s.last_ingested) AS known_at,
    d.conversation_id AS conversation_id, d.channel AS channel, d.intent AS intent,
    d.mode AS mode, d.decided_by AS decided_by, d.policy AS policy, d.model_version AS model_version,
    d.chosen AS chosen, d.baseline AS baseline, d.policy_only AS policy_only, d.model_only AS model_only,
    d.propensity AS propensity, d.explored AS explored
FROM (
    SELECT account, decision_id, time, objective, ingested_at, conversation_id, channel, intent, mode, decided_by,
        policy, model_version, chosen, baseline, policy_only, model_only, propensity, explored
    FROM decisions FINAL WHERE account = {account:String} AND decision_id = {id:String}
    ORDER BY time
    LIMIT 1 BY account, decision_id
) AS d
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
) AS ob ON d.account = ob.account
LEFT JOIN (
    SELECT account, objective, decision_id, sum(part) AS parts, sum(n) AS outcomes,
        max(last_time) AS last_time, max(last_ingested) AS last_ingested
    FROM (
        SELECT
            a.account AS account, t.objective AS objective, a.decision_id AS decision_id, t.position AS position,
            any(t.weight) * multiIf(
                any(t.aggregate) = 'sum', sum(a.value),
                any(t.aggregate) = 'max', max(a.value),
                any(t.aggregate) = 'first', argMin(a.value, (a.time, a.outcome_id)),
                argMax(a.value, (a.time, a.outcome_id))) AS part,
            count() AS n,
            max(a.time) AS last_time,
            max(a.ingested_at) AS last_ingested
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
        ) AS a
        INNER JOIN (
            SELECT account, objective, window_ms, position, term.1 AS kind, term.2 AS weight, term.3 AS aggregate
            FROM (
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
            )
            ARRAY JOIN terms AS term, arrayEnumerate(terms) AS position
        ) AS t ON a.account = t.account AND a.kind = t.kind
        WHERE toUnixTimestamp64Milli(a.time) <= toUnixTimestamp64Milli(a.decision_time) + t.window_ms
        GROUP BY account, objective, decision_id, position
    )
    GROUP BY account, objective, decision_id
) AS s ON d.account = s.account AND ob.objective = s.objective AND d.decision_id = s.decision_id
WHERE s.outcomes > 0
    OR (ob.has_default AND toUnixTimestamp64Milli(d.time) + ob.window_ms < toUnixTimestamp64Milli(now64(3, 'UTC')))
    ));
