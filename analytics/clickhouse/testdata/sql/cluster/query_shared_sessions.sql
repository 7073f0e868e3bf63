SELECT DISTINCT session_id FROM decisions
WHERE account = {account:String} AND session_id IN sessions_wanted AND decision_id NOT IN decisions_wanted;
