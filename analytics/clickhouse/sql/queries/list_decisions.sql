-- A decision may be stored more than once: as equal rows with one time, and, when a
-- request was repeated at another replica or after a restart, under one id at several
-- times. The newest one stands for it on a page.
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
        {{- template "wanted" .}}
    ORDER BY time DESC, decision_id DESC
    LIMIT 1 BY decision_id
    LIMIT {limit:UInt64})
ORDER BY time DESC, decision_id DESC
LIMIT 1 BY decision_id

{{- define "wanted"}}
        {{- if .ConversationID}} AND conversation_id = {conversation:String}{{end}}
        {{- if .ConsumerID}} AND consumer_id = {consumer:String}{{end}}
        {{- if eq .Policy "default"}} AND policy = '' AND has(policies_true, 'default'){{else if .Policy}} AND policy = {policy:String}{{end}}
        {{- if .Chosen}} AND chosen = {chosen:String}{{end}}
        {{- if .DecidedBy}} AND decided_by = {decided_by:String}{{end}}
{{- end}}
