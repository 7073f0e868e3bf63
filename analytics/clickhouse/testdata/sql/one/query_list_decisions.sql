SELECT record
FROM decisions
WHERE account = {account:String} AND (time, decision_id) IN (
    SELECT time, decision_id
    FROM decisions
    WHERE account = {account:String}
        AND time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({to:Int64}, 'UTC')
        AND time <= fromUnixTimestamp64Milli({before:Int64}, 'UTC')
        AND (time < fromUnixTimestamp64Milli({before:Int64}, 'UTC') OR decision_id < {before_id:String}) AND conversation_id = {conversation:String} AND consumer_id = {consumer:String} AND policy = {policy:String} AND chosen = {chosen:String} AND decided_by = {decided_by:String}
    ORDER BY time DESC, decision_id DESC
    LIMIT 1 BY decision_id
    LIMIT {limit:UInt64})
ORDER BY time DESC, decision_id DESC
LIMIT 1 BY decision_id;
