SELECT
    cityHash64(policies_true, policy, baseline != '' AND baseline = chosen) AS key,
    toUnixTimestamp(toStartOfInterval(time, INTERVAL 1 day, 'UTC')) AS period,
    any(arrayDistinct(arrayPushBack(policies_true, if(policy = '', 'default', policy)))),
    any(policy = ''),
    any(baseline != '' AND baseline = chosen),
    count(),
    countIf(toUnixTimestamp64Milli(time) + 60000 < toUnixTimestamp64Milli(now64(3, 'UTC')))
FROM decisions FINAL
WHERE account = {account:String} AND decision_id = {id:String}
GROUP BY key, period;
