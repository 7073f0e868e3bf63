SELECT
    hour, skill, policy, model_version, objective, mode, decided_by, channel,
    decisions, explored, kept_baseline, outcomes, rewarded, reward_sum, reward_squares,
    weight_sum, weighted_reward_sum, latency_ns_sum, latency_ns_max
FROM rollup_hour
WHERE account = {account:String} AND hour >= toDateTime({from:Int64}, 'UTC') AND hour < toDateTime({to:Int64}, 'UTC')
ORDER BY hour, skill, policy, model_version, objective, mode, decided_by, channel;
