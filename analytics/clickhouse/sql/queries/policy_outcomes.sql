-- Outcomes by group (see policy_groups) and hash of the kind, and, as kind 0, the
-- rewards. Kind 1 counts the rewarded decisions older than the window. Outcomes
-- are attributed as in the view attributed_outcomes, but by hashes of ids and in
-- one pass, and of two decisions of a conversation, or two outcomes of a kind, in one
-- millisecond either may be taken for the last: that is several times faster.
WITH
    decided AS (
        SELECT cityHash64(decision_id) AS id, conversation_id, time,
            cityHash64(policies_true, policy, baseline != '' AND baseline = chosen) AS key
        FROM decisions FINAL
        WHERE {{.Account}} AND {{.Since}}
        {{- if .DecidedTwice}}
        ORDER BY time
        LIMIT 1 BY id
        {{- end}}
    ),
    happened AS (
        SELECT decision_id, conversation_id, kind, value, time FROM outcomes FINAL
        WHERE {{.Account}} AND {{.After}}
        {{- if .SentTwice}}
        ORDER BY time
        LIMIT 1 BY event_key
        {{- end}}
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
            WHERE decision_id = '' AND conversation_id != '' AND {{.Since}}
        ) AS o
        -- Decisions after the time asked for are here too: they take outcomes away.
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
        WITH toUnixTimestamp64Milli(time) <= toUnixTimestamp64Milli(decided_at) + {{.WindowMillis}} AS inside
        SELECT
            id,
            any(key) AS key,
            groupArray((cityHash64(kind), value)) AS outcomes,
            any(toUnixTimestamp64Milli(decided_at) + {{.WindowMillis}} < toUnixTimestamp64Milli({{.Now}})) AS matured,
            countIf(inside AND has({kinds:Array(String)}, kind)) AS counted,
            least(greatest({{.Bias}}
            {{- range $i, $term := .Terms}} + {{$term.Weight}} *
                {{- if eq $term.Aggregate "sum"}} sumIf(value, inside AND kind = {kinds:Array(String)}[{{$term.Place}}])
                {{- else if eq $term.Aggregate "max"}} maxIf(value, inside AND kind = {kinds:Array(String)}[{{$term.Place}}])
                {{- else if eq $term.Aggregate "first"}} argMinIf(value, time, inside AND kind = {kinds:Array(String)}[{{$term.Place}}])
                {{- else}} argMaxIf(value, time, inside AND kind = {kinds:Array(String)}[{{$term.Place}}])
                {{- end}}
            {{- end}}, {{.Lowest}}), {{.Highest}}) AS reward
        FROM attributed
        WHERE decided_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')
        GROUP BY id
    )
)
GROUP BY key, kind
