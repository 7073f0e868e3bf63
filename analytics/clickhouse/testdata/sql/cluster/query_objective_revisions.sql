SELECT concat(account, '/', name), max(ingested_at) >= fromUnixTimestamp64Milli({since:Int64}, 'UTC'), max(offset)
FROM config_log FINAL
WHERE kind = 'objective'
GROUP BY account, name;
