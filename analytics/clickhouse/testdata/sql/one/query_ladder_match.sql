SELECT countIf(model_only = if(baseline != '', baseline, policy_only)), count()
FROM (
    SELECT toString(model_only) AS model_only, toString(baseline) AS baseline, toString(policy_only) AS policy_only
    FROM decisions
    WHERE account = {account:String} AND decision_id = {id:String} AND model_version != '' AND model_only != '' AND policy_only != ''
    ORDER BY time DESC, decision_id DESC
    LIMIT 1 BY decision_id
    LIMIT {limit:UInt64}
);
