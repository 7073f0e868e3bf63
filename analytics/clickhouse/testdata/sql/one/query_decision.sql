SELECT record FROM decisions FINAL
WHERE account = {account:String} AND decision_id = {id:String}
ORDER BY time DESC
LIMIT 1;
