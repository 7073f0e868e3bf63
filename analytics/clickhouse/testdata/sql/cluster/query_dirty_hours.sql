WITH
    new_decisions AS (
        SELECT account, decision_id, conversation_id FROM decisions
        WHERE ingested_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    ),
    new_outcomes AS (
        SELECT account, decision_id, conversation_id FROM outcomes
        WHERE ingested_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    )
SELECT DISTINCT account, toStartOfHour(time) AS hour
FROM decisions
WHERE ingested_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    OR (account, decision_id) IN (SELECT account, decision_id FROM new_outcomes WHERE decision_id != '')
    OR (conversation_id != '' AND (account, conversation_id) IN (
        SELECT account, conversation_id FROM new_decisions WHERE conversation_id != ''
        UNION ALL
        SELECT account, conversation_id FROM new_outcomes WHERE decision_id = '' AND conversation_id != ''))
UNION DISTINCT
SELECT d.account AS account, toStartOfHour(d.time) AS hour
FROM decisions AS d
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
    WHERE kind = 'objective' AND 1
    GROUP BY account, name
)
WHERE revision > 0 AND 1
) AS o ON d.account = o.account AND d.objective = o.objective
WHERE o.has_default
    AND toUnixTimestamp64Milli(d.time) + o.window_ms >= {since:Int64}
    AND toUnixTimestamp64Milli(d.time) + o.window_ms < {now:Int64}
UNION DISTINCT
SELECT account, toStartOfHour(time) AS hour
FROM decisions
WHERE has({changed:Array(String)}, concat(account, '/', objective));
