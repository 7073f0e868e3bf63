CREATE TABLE IF NOT EXISTS installation_keys_local ON CLUSTER usher (
    name LowCardinality(String),
    key String,
    created_at DateTime64(6, 'UTC')
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', created_at)
ORDER BY (name, key)
SETTINGS index_granularity = 8192, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS installation_keys ON CLUSTER usher AS installation_keys_local
ENGINE = Distributed(usher, currentDatabase(), installation_keys_local, cityHash64(name));

CREATE TABLE IF NOT EXISTS tombstones_local ON CLUSTER usher (
    account LowCardinality(String),
    hash String CODEC(ZSTD(1)),
    kind LowCardinality(String),
    person String CODEC(ZSTD(1)),
    before_time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', before_time)
ORDER BY (hash, account, kind, person)
SETTINGS index_granularity = 1024, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS tombstones ON CLUSTER usher AS tombstones_local
ENGINE = Distributed(usher, currentDatabase(), tombstones_local, cityHash64(hash));
