CREATE TABLE IF NOT EXISTS model_cards_local ON CLUSTER usher (
    account LowCardinality(String),
    version String,
    objective LowCardinality(String),
    created_at DateTime64(3, 'UTC'),
    rows UInt64,
    sha256 String,
    size UInt64,
    gate LowCardinality(String),
    gate_reason String,
    card String CODEC(ZSTD(3)),
    stored_at DateTime64(3, 'UTC')
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', stored_at)
ORDER BY (account, version)
SETTINGS index_granularity = 1024, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS model_cards ON CLUSTER usher AS model_cards_local
ENGINE = Distributed(usher, currentDatabase(), model_cards_local, cityHash64(account));

CREATE TABLE IF NOT EXISTS model_artifacts_local ON CLUSTER usher (
    account LowCardinality(String),
    version String,
    sha256 String,
    size UInt64,
    artifact String CODEC(ZSTD(1)),
    stored_at DateTime64(3, 'UTC')
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', stored_at)
ORDER BY (account, version)
SETTINGS index_granularity = 1, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS model_artifacts ON CLUSTER usher AS model_artifacts_local
ENGINE = Distributed(usher, currentDatabase(), model_artifacts_local, cityHash64(account));
