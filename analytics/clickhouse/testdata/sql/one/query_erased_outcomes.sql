SELECT event_key FROM outcomes
WHERE account = {account:String} AND (
    (decision_id != '' AND decision_id IN decisions_wanted)
    OR (conversation_id != '' AND conversation_id IN conversations_wanted));
