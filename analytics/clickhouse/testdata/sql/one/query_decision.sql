SELECT record FROM decisions FINAL
WHERE account = {account:String} AND decision_id = {id:String}
LIMIT 1;
