-- Decided again under the same request id, the newest record stands for the decision.
SELECT record FROM decisions FINAL
WHERE account = {account:String} AND decision_id = {id:String}
ORDER BY time DESC
LIMIT 1
