-- The hours whose roll-up may have changed by what was stored since {since}, or
-- because an attribution window closed between {since} and {now}. A decision that
-- arrives late takes outcomes from the one before it in its conversation, so every
-- decision of a touched conversation counts.
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
    {{template "objectives" .}}
) AS o ON d.account = o.account AND d.objective = o.objective
WHERE o.has_default
    AND toUnixTimestamp64Milli(d.time) + o.window_ms >= {since:Int64}
    AND toUnixTimestamp64Milli(d.time) + o.window_ms < {now:Int64}
UNION DISTINCT
SELECT account, toStartOfHour(time) AS hour
FROM decisions
WHERE has({changed:Array(String)}, concat(account, '/', objective))
