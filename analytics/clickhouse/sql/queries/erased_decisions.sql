-- A person's decisions up to a time, and all of the conversations that they are in.
SELECT event_key, decision_id, conversation_id, session_id, time
FROM decisions
WHERE account = {account:String} AND (
    ({{template "theirs" .}})
    OR (conversation_id != '' AND conversation_id IN (
        SELECT conversation_id FROM decisions
        WHERE account = {account:String} AND {{template "theirs" .}})))
