SELECT event_key, decision_id, conversation_id, session_id, time
FROM decisions
WHERE account = {account:String} AND (
    (time <= fromUnixTimestamp64Milli({before:Int64}, 'UTC') AND (
    consumer_id IN (
SELECT id FROM (
    SELECT DISTINCT consumer_id AS id FROM decisions WHERE account = {account:String} AND consumer_id != ''
    UNION DISTINCT
    SELECT DISTINCT visitor_id AS id FROM decisions WHERE account = {account:String} AND visitor_id != ''
)
WHERE -- Keyed hashes of ids as Go makes them: HMAC-SHA-256 with the pads that the query
lower(hex(substring(toString(SHA256(concat(unhex({outer:String}), toString(SHA256(concat(unhex({inner:String}), id)))))), 1, 16))) = {hash:String}
    )
    OR visitor_id IN (
SELECT id FROM (
    SELECT DISTINCT consumer_id AS id FROM decisions WHERE account = {account:String} AND consumer_id != ''
    UNION DISTINCT
    SELECT DISTINCT visitor_id AS id FROM decisions WHERE account = {account:String} AND visitor_id != ''
)
WHERE -- Keyed hashes of ids as Go makes them: HMAC-SHA-256 with the pads that the query
lower(hex(substring(toString(SHA256(concat(unhex({outer:String}), toString(SHA256(concat(unhex({inner:String}), id)))))), 1, 16))) = {hash:String}
    )))
    OR (conversation_id != '' AND conversation_id IN (
        SELECT conversation_id FROM decisions
        WHERE account = {account:String} AND time <= fromUnixTimestamp64Milli({before:Int64}, 'UTC') AND (
    consumer_id IN (
SELECT id FROM (
    SELECT DISTINCT consumer_id AS id FROM decisions WHERE account = {account:String} AND consumer_id != ''
    UNION DISTINCT
    SELECT DISTINCT visitor_id AS id FROM decisions WHERE account = {account:String} AND visitor_id != ''
)
WHERE -- Keyed hashes of ids as Go makes them: HMAC-SHA-256 with the pads that the query
lower(hex(substring(toString(SHA256(concat(unhex({outer:String}), toString(SHA256(concat(unhex({inner:String}), id)))))), 1, 16))) = {hash:String}
    )
    OR visitor_id IN (
SELECT id FROM (
    SELECT DISTINCT consumer_id AS id FROM decisions WHERE account = {account:String} AND consumer_id != ''
    UNION DISTINCT
    SELECT DISTINCT visitor_id AS id FROM decisions WHERE account = {account:String} AND visitor_id != ''
)
WHERE -- Keyed hashes of ids as Go makes them: HMAC-SHA-256 with the pads that the query
lower(hex(substring(toString(SHA256(concat(unhex({outer:String}), toString(SHA256(concat(unhex({inner:String}), id)))))), 1, 16))) = {hash:String}
    )))));
