SELECT
    (SELECT count() FROM (SELECT 1 FROM decisions WHERE account = {account:String} AND time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') GROUP BY event_key HAVING min(time) < max(time) LIMIT 1)) > 0,
    (SELECT count() FROM (SELECT 1 FROM outcomes WHERE account = {account:String} AND time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') - toIntervalDay(1) GROUP BY event_key HAVING min(time) < max(time) LIMIT 1)) > 0;
