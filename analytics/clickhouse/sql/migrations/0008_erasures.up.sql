-- Keys that this installation draws at random, hex. The one named "erasure" is what
-- ids of people are hashed with, so that a hash tells nothing to who has not the key.
-- Of several that were drawn at once the oldest counts.
{{create "installation_keys"}} (
    name LowCardinality(String),
    key String,
    created_at DateTime64(6, 'UTC')
)
ENGINE = {{engine "ReplacingMergeTree" "created_at"}}
ORDER BY (name, key)
SETTINGS index_granularity = 8192, {{window}};

{{distribute "installation_keys" "cityHash64(name)"}}

-- What was erased, by keyed hash, so that the writer knows it when it comes again.
-- kind is person (their decisions up to before_time), conversation, decision or
-- session; person is the hash of whose erasure it belongs to.
{{create "tombstones"}} (
    account LowCardinality(String),
    hash String CODEC(ZSTD(1)),
    kind LowCardinality(String),
    person String CODEC(ZSTD(1)),
    before_time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = {{engine "ReplacingMergeTree" "before_time"}}
ORDER BY (hash, account, kind, person)
SETTINGS index_granularity = 1024, {{window}};

{{distribute "tombstones" "cityHash64(hash)"}}
