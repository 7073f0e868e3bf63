SELECT count(), max(ingested_at) FROM outcomes WHERE account = {account:String} AND time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC');
