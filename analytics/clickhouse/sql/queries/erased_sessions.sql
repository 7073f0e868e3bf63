SELECT kind, hash FROM tombstones FINAL
WHERE account = {account:String} AND person = {person:String}
