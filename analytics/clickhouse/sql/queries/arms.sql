SELECT DISTINCT toString(arrayJoin(arrayDistinct(arrayPushBack(candidate_keys, chosen)))) AS arm
FROM decisions
WHERE account = {account:String} AND time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')
LIMIT 100000
