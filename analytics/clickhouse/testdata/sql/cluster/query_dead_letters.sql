SELECT account, topic, partition, offset, time, reason, field, detail, key, value, headers
FROM dead_letters FINAL
WHERE ({all:Bool} OR account = {account:String})
    AND ({topic:String} = '' OR topic = {topic:String})
    AND ({reason:String} = '' OR reason = {reason:String})
    AND time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({to:Int64}, 'UTC')
ORDER BY topic, partition, offset, time
LIMIT {limit:UInt64};
