CREATE TABLE IF NOT EXISTS rollup_hour_rows (
    account LowCardinality(String),
    hour DateTime('UTC') CODEC(Delta, ZSTD(1)),
    skill LowCardinality(String),
    policy LowCardinality(String),
    model_version LowCardinality(String),
    objective LowCardinality(String),
    mode LowCardinality(String),
    decided_by LowCardinality(String),
    channel LowCardinality(String),
    decisions UInt64,
    explored UInt64,
    kept_baseline UInt64,
    outcomes UInt64,
    rewarded UInt64,
    reward_sum Float64,
    reward_squares Float64,
    weight_sum Float64,
    weighted_reward_sum Float64,
    latency_ns_sum UInt64,
    latency_ns_max UInt64,
    computed_at DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree(computed_at)
PARTITION BY toYYYYMM(hour)
ORDER BY (account, hour, skill, policy, model_version, objective, mode, decided_by, channel)
TTL hour + toIntervalDay(1830)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 10000;

CREATE OR REPLACE VIEW rollup_hour AS
SELECT * EXCEPT (computed_at)
FROM rollup_hour_rows FINAL;

CREATE TABLE IF NOT EXISTS rollup_day_rows (
    account LowCardinality(String),
    day DateTime('UTC') CODEC(Delta, ZSTD(1)),
    skill LowCardinality(String),
    policy LowCardinality(String),
    model_version LowCardinality(String),
    objective LowCardinality(String),
    mode LowCardinality(String),
    decided_by LowCardinality(String),
    channel LowCardinality(String),
    decisions UInt64,
    explored UInt64,
    kept_baseline UInt64,
    outcomes UInt64,
    rewarded UInt64,
    reward_sum Float64,
    reward_squares Float64,
    weight_sum Float64,
    weighted_reward_sum Float64,
    latency_ns_sum UInt64,
    latency_ns_max UInt64,
    computed_at DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree(computed_at)
PARTITION BY toYYYYMM(day)
ORDER BY (account, day, skill, policy, model_version, objective, mode, decided_by, channel)
TTL day + toIntervalDay(1830)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 10000;

CREATE OR REPLACE VIEW rollup_day AS
SELECT * EXCEPT (computed_at)
FROM rollup_day_rows FINAL;

CREATE TABLE IF NOT EXISTS rollup_progress (
    name LowCardinality(String),
    watermark DateTime64(3, 'UTC'),
    at DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY name
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 10000;
