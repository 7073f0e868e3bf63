SELECT groupArraySample(1000, 1)(toUnixTimestamp64Milli(reward_time) - toUnixTimestamp64Milli(decision_time))
FROM (
    {{template "rewards" .}}
)
WHERE silent = 0
