SELECT
    cityHash64(policies_true, policy, kept) AS key,
    toUnixTimestamp(toStartOfInterval(time, INTERVAL 1 day, 'UTC')) AS period,
    any(arrayFilter(name -> name != '', arrayDistinct(arrayPushBack(policies_true, policy)))),
    any(policy = '' AND NOT has(policies_true, 'default')),
    any(kept),
    count(),
    countIf(toUnixTimestamp64Milli(time) + 60000 < toUnixTimestamp64Milli(now64(3, 'UTC')))
FROM (
    SELECT cityHash64(decision_id) AS id, time, policies_true, policy, baseline != '' AND baseline = chosen AS kept
    FROM decisions FINAL
    WHERE account = {account:String} AND decision_id = {id:String}
    ORDER BY time
    LIMIT 1 BY id
)
GROUP BY key, period;
