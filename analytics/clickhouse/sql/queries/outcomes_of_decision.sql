SELECT source, outcome_id, kind, value, label, time
FROM (
    {{template "attributed" .}}
)
WHERE decision_id = {id:String}
ORDER BY time, source, outcome_id
