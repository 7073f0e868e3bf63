INSERT INTO rollup_hour_rows (
    account, hour, skill, policy, model_version, objective, mode, decided_by, channel,
    decisions, explored, kept_baseline, outcomes, rewarded, reward_sum, reward_squares,
    weight_sum, weighted_reward_sum, latency_ns_sum, latency_ns_max, computed_at)
SELECT
    d.account, toStartOfHour(d.time) AS hour, d.chosen, d.policy, d.model_version, d.objective, d.mode, d.decided_by, d.channel,
    count(), countIf(d.explored), countIf(d.baseline != '' AND d.baseline = d.chosen),
    sum(o.n), countIf(r.rewarded = 1), sum(r.reward), sum(r.reward * r.reward),
    sumIf(1 / d.propensity, r.rewarded = 1 AND d.propensity > 0),
    sumIf(r.reward / d.propensity, r.rewarded = 1 AND d.propensity > 0),
    sum(toUInt64(greatest(d.latency_ns, 0))), max(toUInt64(greatest(d.latency_ns, 0))),
    fromUnixTimestamp64Micro({at:Int64}, 'UTC')
FROM (
    SELECT account, time, decision_id, chosen, policy, model_version, objective, mode, decided_by, channel,
        explored, baseline, propensity, latency_ns
    FROM (
        SELECT account, time, decision_id, chosen, policy, model_version, objective, mode, decided_by, channel,
            explored, baseline, propensity, latency_ns
        FROM decisions FINAL
        WHERE {{.Account}} AND {{.Target}}
        ORDER BY time
        LIMIT 1 BY decision_id
    )
    -- The target has the hours before, too: a decision counts in the first of its hours.
    WHERE has({hours:Array(Int64)}, toUnixTimestamp(toStartOfHour(time)))
) AS d
LEFT JOIN (
    SELECT decision_id, count() AS n
    FROM (
        {{template "attributed" .}}
    )
    GROUP BY decision_id
) AS o ON d.decision_id = o.decision_id
LEFT JOIN (
    SELECT decision_id, objective, reward, 1 AS rewarded
    FROM (
        {{template "rewards" .}}
    )
) AS r ON d.decision_id = r.decision_id AND d.objective = r.objective
GROUP BY d.account, hour, d.chosen, d.policy, d.model_version, d.objective, d.mode, d.decided_by, d.channel
