-- The oldest of the newest {limit} decisions of the time; none when there are fewer.
SELECT time, decision_id
FROM decisions
WHERE account = {account:String}
    AND time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({to:Int64}, 'UTC')
ORDER BY time DESC, decision_id DESC
LIMIT 1 BY decision_id
LIMIT 1 OFFSET {limit:UInt64}
