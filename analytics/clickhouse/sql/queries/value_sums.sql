-- One pass over the rewarded decisions. A column that names nothing takes no action
-- that was logged, so its weight is 0.
SELECT
    {{.Segment}} AS segment,
    countIf(known), countIf(known AND w > 0), countIf(known AND w > 0 AND reward != 0), countIf(NOT known),
    sumIf(w, known), sumIf(w * w, known),
    sumIf(reward, known), sumIf(reward * reward, known),
    sumIf(w * reward, known), sumIf(w * w * reward, known), sumIf(w * w * reward * reward, known),
    maxIf(w, known), minIf(propensity, known), minIf(reward, known), maxIf(reward, known)
FROM (
    SELECT *, propensity > 0 AND chosen != '' AS known, toFloat64(if(known, {{.Weight}}, 0)) AS w
    FROM (
        SELECT toString(intent) AS intent, toString(channel) AS channel, toString(policy) AS policy, toString(chosen) AS chosen,
            toString(baseline) AS baseline, toString(policy_only) AS policy_only, toFloat64(propensity) AS propensity, toFloat64(reward) AS reward
        FROM (
            {{template "rewards" .}}
        )
        ORDER BY decision_time DESC, decision_id DESC
        LIMIT {limit:UInt64}
    )
)
GROUP BY segment
ORDER BY segment
