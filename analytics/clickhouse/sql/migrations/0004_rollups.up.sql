-- Counts by hour and by day. An hour is always recomputed whole from the raw rows
-- and replaces its older version; the views rollup_hour and rollup_day show the
-- newest version alone, so reading them needs no FINAL.
{{range $grain := grains}}
{{create (print "rollup_" $grain "_rows")}} (
    account LowCardinality(String),
    {{$grain}} DateTime('UTC') CODEC(Delta, ZSTD(1)),
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
ENGINE = {{engine "ReplacingMergeTree" "computed_at"}}
PARTITION BY toYYYYMM({{$grain}})
ORDER BY (account, {{$grain}}, skill, policy, model_version, objective, mode, decided_by, channel)
TTL {{$grain}} + toIntervalDay({{$.RollupDays}})
SETTINGS index_granularity = 8192, {{window}};

{{distribute (print "rollup_" $grain "_rows") "cityHash64(account)"}}

{{view (print "rollup_" $grain)}}
SELECT * EXCEPT (computed_at)
FROM rollup_{{$grain}}_rows FINAL;
{{end}}

-- How far the roll-ups have looked, by the time rows were stored.
{{create "rollup_progress"}} (
    name LowCardinality(String),
    watermark DateTime64(3, 'UTC'),
    at DateTime64(6, 'UTC')
)
ENGINE = {{engine "ReplacingMergeTree" "at"}}
ORDER BY name
SETTINGS index_granularity = 8192, {{window}};

{{distribute "rollup_progress" "cityHash64(name)"}}
