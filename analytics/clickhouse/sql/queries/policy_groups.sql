-- Decisions that the same policies matched, and whose answer was or was not the
-- caller's own, are one group; groups are counted by period. Matured decisions are
-- older than the objective's window.
SELECT
    cityHash64(policies_true, policy, baseline != '' AND baseline = chosen) AS key,
    toUnixTimestamp(toStartOfInterval(time, INTERVAL 1 {{.Grain}}, 'UTC')) AS period,
    any(arrayDistinct(arrayPushBack(policies_true, if(policy = '', 'default', policy)))),
    any(policy = ''),
    any(baseline != '' AND baseline = chosen),
    count(),
    countIf(toUnixTimestamp64Milli(time) + {{.WindowMillis}} < toUnixTimestamp64Milli({{.Now}}))
FROM decisions FINAL
WHERE {{.Account}} AND {{.Target}}
GROUP BY key, period
