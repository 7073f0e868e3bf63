SELECT terms.kind, terms.weight, terms.aggregate, bias, lowest, highest, window_ms, has_default = 1, default_reward
FROM (
    {{template "objectives" .}}
)
