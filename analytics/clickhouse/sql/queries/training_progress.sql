-- training_progress
-- Three counts: decisions whose window has passed when silence counts, of the others
-- those that an outcome names, and conversations that an outcome names. Ids are
-- compared by hash: sets of numbers take a fifth of the memory.
WITH
    (
        SELECT (arrayDistinct(arrayFlatten(groupArray(arrayMap(term -> term.1, terms)))), max(window_ms), max(has_default))
        FROM (
            {{template "objectives" .}}
        )
    ) AS ob,
    ob.1 AS kinds,
    -- What is decided before this time has a reward whatever came of it.
    if(ob.3, fromUnixTimestamp64Milli(toUnixTimestamp64Milli({{.Now}}) - ob.2, 'UTC'), fromUnixTimestamp64Milli(toInt64(0), 'UTC')) AS matured
SELECT
    (SELECT uniqExact(event_key) FROM decisions WHERE {{.Account}} AND {{.Target}} AND chosen != '' AND time < matured)
    + (
        SELECT uniqExactIf(event_key, named) + uniqIf(conversation_id, talked AND NOT named)
        FROM (
            SELECT
                event_key,
                conversation_id,
                cityHash64(decision_id) IN (
                    SELECT cityHash64(decision_id) FROM outcomes
                    WHERE {{.Account}} AND decision_id != '' AND has(kinds, kind) AND time >= matured - toIntervalDay(1)) AS named,
                conversation_id != '' AND cityHash64(conversation_id) IN (
                    SELECT cityHash64(conversation_id) FROM outcomes
                    WHERE {{.Account}} AND decision_id = '' AND conversation_id != '' AND has(kinds, kind) AND time >= matured) AS talked
            FROM decisions
            WHERE {{.Account}} AND {{.Target}} AND chosen != '' AND time >= matured
        )
    ),
    (SELECT max(ingested_at) FROM outcomes WHERE {{.Account}})
