SELECT source, outcome_id, kind, value, label, time
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
WHERE decision_id = {id:String}
ORDER BY time, source, outcome_id;
