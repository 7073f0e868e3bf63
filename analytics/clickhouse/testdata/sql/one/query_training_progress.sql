WITH
    (
        SELECT (arrayDistinct(arrayFlatten(groupArray(arrayMap(term -> term.1, terms)))), max(window_ms), max(has_default))
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
    ) AS ob,
    ob.1 AS kinds,
    if(ob.3, fromUnixTimestamp64Milli(toUnixTimestamp64Milli(now64(3, 'UTC')) - ob.2, 'UTC'), fromUnixTimestamp64Milli(toInt64(0), 'UTC')) AS matured
SELECT
    (SELECT uniqExact(event_key) FROM decisions WHERE account = {account:String} AND decision_id = {id:String} AND chosen != '' AND time < matured)
    + (
        SELECT uniqExactIf(event_key, named) + uniqIf(conversation_id, talked AND NOT named)
        FROM (
            SELECT
                event_key,
                conversation_id,
                cityHash64(decision_id) IN (
                    SELECT cityHash64(decision_id) FROM outcomes
                    WHERE account = {account:String} AND decision_id != '' AND has(kinds, kind) AND time >= matured - toIntervalDay(1)) AS named,
                conversation_id != '' AND cityHash64(conversation_id) IN (
                    SELECT cityHash64(conversation_id) FROM outcomes
                    WHERE account = {account:String} AND decision_id = '' AND conversation_id != '' AND has(kinds, kind) AND time >= matured) AS talked
            FROM decisions
            WHERE account = {account:String} AND decision_id = {id:String} AND chosen != '' AND time >= matured
        )
    ),
    (SELECT max(ingested_at) FROM outcomes WHERE account = {account:String});
