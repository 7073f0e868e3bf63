-- Fitted models: the card says what and why, the artifact is the bytes.
{{create "model_cards"}} (
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
ENGINE = {{engine "ReplacingMergeTree" "stored_at"}}
ORDER BY (account, version)
SETTINGS index_granularity = 1024, {{window}};

{{distribute "model_cards" "cityHash64(account)"}}

{{create "model_artifacts"}} (
    account LowCardinality(String),
    version String,
    sha256 String,
    size UInt64,
    artifact String CODEC(ZSTD(1)),
    stored_at DateTime64(3, 'UTC')
)
ENGINE = {{engine "ReplacingMergeTree" "stored_at"}}
ORDER BY (account, version)
SETTINGS index_granularity = 1, {{window}};

{{distribute "model_artifacts" "cityHash64(account)"}}
