SELECT toString(chosen), count()
FROM decisions FINAL
WHERE account = {account:String} AND explored AND time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')
GROUP BY chosen
