SELECT
    {{.Grain}}, skill, policy, model_version, objective, mode, decided_by, channel,
    decisions, explored, kept_baseline, outcomes, rewarded, reward_sum, reward_squares,
    weight_sum, weighted_reward_sum, latency_ns_sum, latency_ns_max
FROM rollup_{{.Grain}}
WHERE account = {account:String} AND {{.Grain}} >= toDateTime({from:Int64}, 'UTC') AND {{.Grain}} < toDateTime({to:Int64}, 'UTC')
ORDER BY {{.Grain}}, skill, policy, model_version, objective, mode, decided_by, channel
