-- Rows that were stored twice are equal and share (time, decision_id), so LIMIT BY
-- does what FINAL would, and the newest page is read in order of the key.
SELECT record
FROM decisions
WHERE account = {account:String} AND (time, decision_id) IN (
    SELECT time, decision_id
    FROM decisions
    WHERE account = {account:String}
        AND time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({to:Int64}, 'UTC')
        {{- if .BeforeID}}
        AND time <= fromUnixTimestamp64Milli({before:Int64}, 'UTC')
        AND (time < fromUnixTimestamp64Milli({before:Int64}, 'UTC') OR decision_id < {before_id:String})
        {{- end}}
        {{- if .ConversationID}} AND conversation_id = {conversation:String}{{end}}
        {{- if .ConsumerID}} AND consumer_id = {consumer:String}{{end}}
        {{- if .Policy}} AND policy = {policy:String}{{end}}
        {{- if .Chosen}} AND chosen = {chosen:String}{{end}}
        {{- if .DecidedBy}} AND decided_by = {decided_by:String}{{end}}
    ORDER BY time DESC, decision_id DESC
    LIMIT 1 BY time, decision_id
    LIMIT {limit:UInt64})
ORDER BY time DESC, decision_id DESC
LIMIT 1 BY time, decision_id
