-- Of a request that was decided at two times one record is taken.
SELECT d.record, r.rewarded = 1, r.reward
FROM (
    SELECT decision_id, record FROM decisions FINAL WHERE {{.Account}} AND {{.Target}}
    LIMIT 1 BY decision_id
) AS d
LEFT JOIN (
    SELECT decision_id, reward, 1 AS rewarded
    FROM (
        {{template "rewards" .}}
    )
) AS r ON d.decision_id = r.decision_id
