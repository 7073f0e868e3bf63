-- Decisions still inside of the objective's window that nothing has come of, with
-- their ages.
WITH (
    SELECT max(window_ms) FROM (
        {{template "objectives" .}}
    )
) AS window_ms
SELECT count(), groupArraySample(1000, 1)(toUnixTimestamp64Milli({{.Now}}) - toUnixTimestamp64Milli(time))
FROM (SELECT * EXCEPT (record) FROM decisions FINAL WHERE {{.Account}} AND chosen != ''
    AND toUnixTimestamp64Milli(time) + window_ms >= toUnixTimestamp64Milli({{.Now}}))
WHERE decision_id NOT IN (
    SELECT decision_id FROM (
        {{template "rewards" .}}
    ))
