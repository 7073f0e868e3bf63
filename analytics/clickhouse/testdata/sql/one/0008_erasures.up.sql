CREATE TABLE IF NOT EXISTS installation_keys (
    name LowCardinality(String),
    key String,
    created_at DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree(created_at)
ORDER BY (name, key)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS tombstones (
    account LowCardinality(String),
    hash String CODEC(ZSTD(1)),
    kind LowCardinality(String),
    person String CODEC(ZSTD(1)),
    before_time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(before_time)
ORDER BY (hash, account, kind, person)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000;
