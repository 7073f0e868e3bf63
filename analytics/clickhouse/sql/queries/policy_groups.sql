-- Decisions that the same policies matched, and whose answer was or was not the
-- caller's own, are one group; groups are counted by period. Matured decisions are
-- older than the objective's window. A request that was decided again at another time
-- counts once, at the first of them. What the policy "default" decided has no policy,
-- and "default" among those that matched.
SELECT
    cityHash64(policies_true, policy, kept) AS key,
    toUnixTimestamp(toStartOfInterval(time, INTERVAL 1 {{.Grain}}, 'UTC')) AS period,
    any(arrayFilter(name -> name != '', arrayDistinct(arrayPushBack(policies_true, policy)))),
    any(policy = '' AND NOT has(policies_true, 'default')),
    any(kept),
    count(),
    countIf(toUnixTimestamp64Milli(time) + {{.WindowMillis}} < toUnixTimestamp64Milli({{.Now}}))
FROM (
    SELECT cityHash64(decision_id) AS id, time, policies_true, policy, baseline != '' AND baseline = chosen AS kept
    FROM decisions FINAL
    WHERE {{.Account}} AND {{.Target}}
    {{- if .DecidedTwice}}
    ORDER BY time
    LIMIT 1 BY id
    {{- end}}
)
GROUP BY key, period
