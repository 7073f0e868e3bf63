INSERT INTO rollup_day_rows (
    account, day, skill, policy, model_version, objective, mode, decided_by, channel,
    decisions, explored, kept_baseline, outcomes, rewarded, reward_sum, reward_squares,
    weight_sum, weighted_reward_sum, latency_ns_sum, latency_ns_max, computed_at)
SELECT
    account, toStartOfDay(hour) AS day, skill, policy, model_version, objective, mode, decided_by, channel,
    sum(h.decisions), sum(h.explored), sum(h.kept_baseline), sum(h.outcomes), sum(h.rewarded), sum(h.reward_sum), sum(h.reward_squares),
    sum(h.weight_sum), sum(h.weighted_reward_sum), sum(h.latency_ns_sum), max(h.latency_ns_max),
    fromUnixTimestamp64Micro({at:Int64}, 'UTC')
FROM rollup_hour AS h
WHERE account = {account:String} AND hour >= toDateTime({from:Int64}, 'UTC') AND hour < toDateTime({to:Int64}, 'UTC')
    AND has({days:Array(Int64)}, toUnixTimestamp(toStartOfDay(hour)))
GROUP BY account, day, skill, policy, model_version, objective, mode, decided_by, channel;
