CREATE TABLE IF NOT EXISTS model_cards (
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
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY (account, version)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS model_artifacts (
    account LowCardinality(String),
    version String,
    sha256 String,
    size UInt64,
    artifact String CODEC(ZSTD(1)),
    stored_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY (account, version)
SETTINGS index_granularity = 1, non_replicated_deduplication_window = 10000;
