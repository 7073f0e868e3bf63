WITH
    decided AS (
        SELECT cityHash64(decision_id) AS id, conversation_id, time,
            cityHash64(policies_true, policy, baseline != '' AND baseline = chosen) AS key
        FROM decisions FINAL
        WHERE account = {account:String} AND time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')
        ORDER BY time
        LIMIT 1 BY id
    ),
    happened AS (
        SELECT decision_id, conversation_id, kind, value, time FROM outcomes FINAL
        WHERE account = {account:String} AND time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') - toIntervalDay(1)
        ORDER BY time
        LIMIT 1 BY event_key
    ),
    attributed AS (
        SELECT d.id AS id, d.key AS key, d.time AS decided_at, o.kind AS kind, o.value AS value, o.time AS time
        FROM decided AS d
        INNER JOIN (
            SELECT cityHash64(decision_id) AS id, kind, value, time FROM happened WHERE decision_id != ''
        ) AS o ON d.id = o.id
        WHERE o.time >= d.time - toIntervalDay(1)
        UNION ALL
        SELECT d.id AS id, d.key AS key, d.time AS decided_at, o.kind AS kind, o.value AS value, o.time AS time
        FROM (
            SELECT cityHash64(conversation_id) AS conversation, kind, value, time FROM happened
            WHERE decision_id = '' AND conversation_id != '' AND time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')
        ) AS o
        ASOF INNER JOIN (
            SELECT cityHash64(conversation_id) AS conversation, time, id, key FROM decided WHERE conversation_id != ''
        ) AS d ON o.conversation = d.conversation AND o.time >= d.time
    )
SELECT key, outcome.1 AS kind, count(), avg(outcome.2), varPop(outcome.2) * count(), min(outcome.2), max(outcome.2)
FROM (
    SELECT key, arrayJoin(arrayConcat(outcomes,
        if(counted > 0, [(toUInt64(0), reward)], []),
        if(counted > 0 AND matured, [(toUInt64(1), toFloat64(1))], []))) AS outcome
    FROM (
        WITH toUnixTimestamp64Milli(time) <= toUnixTimestamp64Milli(decided_at) + 60000 AS inside
        SELECT
            id,
            any(key) AS key,
            groupArray((cityHash64(kind), value)) AS outcomes,
            any(toUnixTimestamp64Milli(decided_at) + 60000 < toUnixTimestamp64Milli(now64(3, 'UTC'))) AS matured,
            countIf(inside AND has({kinds:Array(String)}, kind)) AS counted,
            least(greatest(toFloat64(0) + toFloat64(1) * argMaxIf(value, time, inside AND kind = {kinds:Array(String)}[1]) + toFloat64(-0.5) * sumIf(value, inside AND kind = {kinds:Array(String)}[2]) + toFloat64(2) * maxIf(value, inside AND kind = {kinds:Array(String)}[1]) + toFloat64(2) * argMinIf(value, time, inside AND kind = {kinds:Array(String)}[1]), toFloat64(0)), toFloat64(1)) AS reward
        FROM attributed
        WHERE decided_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')
        GROUP BY id
    )
)
GROUP BY key, kind;
