CREATE TABLE IF NOT EXISTS rollup_hour_rows_local ON CLUSTER usher (
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', computed_at)
PARTITION BY toYYYYMM(hour)
ORDER BY (account, hour, skill, policy, model_version, objective, mode, decided_by, channel)
TTL hour + toIntervalDay(1830)
SETTINGS index_granularity = 8192, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS rollup_hour_rows ON CLUSTER usher AS rollup_hour_rows_local
ENGINE = Distributed(usher, currentDatabase(), rollup_hour_rows_local, cityHash64(account));

CREATE OR REPLACE VIEW rollup_hour ON CLUSTER usher AS
SELECT * EXCEPT (computed_at)
FROM rollup_hour_rows FINAL;

CREATE TABLE IF NOT EXISTS rollup_day_rows_local ON CLUSTER usher (
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', computed_at)
PARTITION BY toYYYYMM(day)
ORDER BY (account, day, skill, policy, model_version, objective, mode, decided_by, channel)
TTL day + toIntervalDay(1830)
SETTINGS index_granularity = 8192, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS rollup_day_rows ON CLUSTER usher AS rollup_day_rows_local
ENGINE = Distributed(usher, currentDatabase(), rollup_day_rows_local, cityHash64(account));

CREATE OR REPLACE VIEW rollup_day ON CLUSTER usher AS
SELECT * EXCEPT (computed_at)
FROM rollup_day_rows FINAL;

CREATE TABLE IF NOT EXISTS rollup_progress_local ON CLUSTER usher (
    name LowCardinality(String),
    watermark DateTime64(3, 'UTC'),
    at DateTime64(6, 'UTC')
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', at)
ORDER BY name
SETTINGS index_granularity = 8192, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS rollup_progress ON CLUSTER usher AS rollup_progress_local
ENGINE = Distributed(usher, currentDatabase(), rollup_progress_local, cityHash64(name));
