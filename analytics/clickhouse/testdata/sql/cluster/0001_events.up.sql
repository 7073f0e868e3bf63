CREATE TABLE IF NOT EXISTS decisions_local ON CLUSTER usher (
    account LowCardinality(String),
    decision_id String CODEC(ZSTD(1)),
    event_key UInt64 CODEC(NONE),
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    request_id String CODEC(ZSTD(1)),
    conversation_id String CODEC(ZSTD(1)),
    consumer_id String CODEC(ZSTD(1)),
    visitor_id String CODEC(ZSTD(1)),
    session_id String CODEC(ZSTD(1)),
    channel LowCardinality(String),
    intent LowCardinality(String),
    attributes_string Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    attributes_number Map(LowCardinality(String), Float64) CODEC(ZSTD(1)),
    attributes_bool Map(LowCardinality(String), Bool) CODEC(ZSTD(1)),
    attributes_list Map(LowCardinality(String), Array(String)) CODEC(ZSTD(1)),
    mode LowCardinality(String),
    objective LowCardinality(String),
    decided_by LowCardinality(String),
    policy LowCardinality(String),
    policy_revision Int64 CODEC(Delta, ZSTD(1)),
    model_version LowCardinality(String),
    chosen_type LowCardinality(String),
    chosen LowCardinality(String),
    policy_only LowCardinality(String),
    model_only LowCardinality(String),
    drawn LowCardinality(String),
    baseline LowCardinality(String),
    actions Array(LowCardinality(String)) CODEC(ZSTD(1)),
    propensity Float64 CODEC(ZSTD(1)),
    explored Bool CODEC(ZSTD(1)),
    reasons Array(LowCardinality(String)) CODEC(ZSTD(1)),
    no_match_reason LowCardinality(String),
    seed UInt64 CODEC(NONE),
    latency_ns Int64 CODEC(ZSTD(1)),
    candidate_keys Array(LowCardinality(String)) CODEC(ZSTD(1)),
    candidate_types Array(LowCardinality(String)) CODEC(ZSTD(1)),
    candidate_eligible Array(Bool) CODEC(ZSTD(1)),
    candidate_scores Array(Float64) CODEC(ZSTD(1)),
    candidate_priorities Array(Float64) CODEC(ZSTD(1)),
    candidate_probabilities Array(Float64) CODEC(ZSTD(1)),
    chosen_string Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    chosen_number Map(LowCardinality(String), Float64) CODEC(ZSTD(1)),
    chosen_bool Map(LowCardinality(String), Bool) CODEC(ZSTD(1)),
    chosen_list Map(LowCardinality(String), Array(String)) CODEC(ZSTD(1)),
    skill_names Array(LowCardinality(String)) CODEC(ZSTD(1)),
    skill_agents Array(Int32) CODEC(ZSTD(1)),
    skill_queues Array(Int32) CODEC(ZSTD(1)),
    skill_loads Array(Float64) CODEC(ZSTD(1)),
    skill_waits Array(Float64) CODEC(ZSTD(1)),
    labels Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    record String CODEC(ZSTD(3)),
    topic LowCardinality(String),
    partition Int32 CODEC(ZSTD(1)),
    offset Int64 CODEC(Delta, ZSTD(1)),
    broker_time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    ingested_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    INDEX by_decision decision_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_conversation conversation_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_ingest ingested_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toYYYYMM(time)
ORDER BY (account, time, decision_id)
TTL toDateTime(ingested_at) + toIntervalDay(400)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS decisions ON CLUSTER usher AS decisions_local
ENGINE = Distributed(usher, currentDatabase(), decisions_local, cityHash64(account, conversation_id));

CREATE TABLE IF NOT EXISTS outcomes_local ON CLUSTER usher (
    account LowCardinality(String),
    source LowCardinality(String),
    outcome_id String CODEC(ZSTD(1)),
    event_key UInt64 CODEC(NONE),
    decision_id String CODEC(ZSTD(1)),
    conversation_id String CODEC(ZSTD(1)),
    kind LowCardinality(String),
    value Float64 CODEC(ZSTD(1)),
    label String CODEC(ZSTD(1)),
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    topic LowCardinality(String),
    partition Int32 CODEC(ZSTD(1)),
    offset Int64 CODEC(Delta, ZSTD(1)),
    broker_time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    ingested_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    INDEX by_decision decision_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_conversation conversation_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_ingest ingested_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toYYYYMM(time)
ORDER BY (account, time, source, outcome_id)
TTL toDateTime(ingested_at) + toIntervalDay(400)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS outcomes ON CLUSTER usher AS outcomes_local
ENGINE = Distributed(usher, currentDatabase(), outcomes_local, cityHash64(account, conversation_id));

CREATE TABLE IF NOT EXISTS skill_states_local ON CLUSTER usher (
    account LowCardinality(String),
    source LowCardinality(String),
    state_id String CODEC(ZSTD(1)),
    event_key UInt64 CODEC(NONE),
    skill LowCardinality(String),
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    agents_online Int32 CODEC(ZSTD(1)),
    queue_size Int32 CODEC(ZSTD(1)),
    load Float64 CODEC(ZSTD(1)),
    wait_seconds Float64 CODEC(ZSTD(1)),
    topic LowCardinality(String),
    partition Int32 CODEC(ZSTD(1)),
    offset Int64 CODEC(Delta, ZSTD(1)),
    broker_time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    ingested_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toYYYYMM(time)
ORDER BY (account, skill, time, source, state_id)
TTL toDateTime(ingested_at) + toIntervalDay(30)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS skill_states ON CLUSTER usher AS skill_states_local
ENGINE = Distributed(usher, currentDatabase(), skill_states_local, cityHash64(account, skill));

CREATE TABLE IF NOT EXISTS config_log_local ON CLUSTER usher (
    account LowCardinality(String),
    kind LowCardinality(String),
    name String CODEC(ZSTD(1)),
    change_id String CODEC(ZSTD(1)),
    event_key UInt64 CODEC(NONE),
    base Int64,
    value String CODEC(ZSTD(3)),
    deleted Bool,
    author String CODEC(ZSTD(1)),
    reason String CODEC(ZSTD(1)),
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    topic LowCardinality(String),
    partition Int32 CODEC(ZSTD(1)),
    offset Int64 CODEC(Delta, ZSTD(1)),
    broker_time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    ingested_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
ORDER BY (account, kind, name, topic, partition, offset, change_id)
SETTINGS index_granularity = 8192, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS config_log ON CLUSTER usher AS config_log_local
ENGINE = Distributed(usher, currentDatabase(), config_log_local, cityHash64(account));

CREATE TABLE IF NOT EXISTS dead_letters_local ON CLUSTER usher (
    account LowCardinality(String),
    topic LowCardinality(String),
    partition Int32 CODEC(ZSTD(1)),
    offset Int64 CODEC(Delta, ZSTD(1)),
    event_key UInt64 CODEC(NONE),
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    reason LowCardinality(String),
    field LowCardinality(String),
    detail String CODEC(ZSTD(1)),
    key String CODEC(ZSTD(1)),
    value String CODEC(ZSTD(3)),
    headers Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ingested_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toYYYYMM(time)
ORDER BY (account, topic, partition, offset, time)
TTL toDateTime(ingested_at) + toIntervalDay(400)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS dead_letters ON CLUSTER usher AS dead_letters_local
ENGINE = Distributed(usher, currentDatabase(), dead_letters_local, cityHash64(account, topic, partition));

CREATE TABLE IF NOT EXISTS ingest_offsets_local ON CLUSTER usher (
    topic LowCardinality(String),
    partition Int32,
    first_offset Int64,
    last_offset Int64,
    rows UInt64,
    written_at DateTime64(6, 'UTC')
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', written_at)
ORDER BY (topic, partition)
SETTINGS index_granularity = 8192, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS ingest_offsets ON CLUSTER usher AS ingest_offsets_local
ENGINE = Distributed(usher, currentDatabase(), ingest_offsets_local, cityHash64(topic, partition));
