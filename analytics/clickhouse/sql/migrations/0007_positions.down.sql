-- The views as they were.
-- policy_log: one row per decision and policy of its record, in the order of the
-- list. Limit it by account and conversation_id, decision_id or time: it opens the
-- records it is asked for.
{{view "policy_log"}}
SELECT
    account, decision_id, conversation_id, consumer_id, time, policy_revision,
    place AS position,
    JSONExtractString(trace, 'policy') AS policy,
    JSONExtractInt(trace, 'revision') AS revision,
    JSONExtractString(trace, 'state') AS state,
    policy = decided_policy AS decided,
    JSONExtractBool(trace, 'exception') AS exception,
    JSONExtractString(trace, 'cause') AS cause,
    arrayMap(c -> concat(
        JSONExtractString(c, 'path'), ': ', JSONExtractString(c, 'attribute'), ' ', JSONExtractString(c, 'operator'), ' ',
        JSONExtractRaw(c, 'expected'), ' is ', JSONExtractString(c, 'truth'),
        if(JSONHas(c, 'actual'), concat(', was ', JSONExtractRaw(c, 'actual')), ''),
        if(JSONExtractString(c, 'cause') != '', concat(' (', JSONExtractString(c, 'cause'), ')'), '')),
        JSONExtractArrayRaw(trace, 'conditions')) AS conditions,
    decided_by, chosen
FROM (
    SELECT account, decision_id, conversation_id, consumer_id, time, policy_revision, decided_by, chosen,
        policy AS decided_policy, JSONExtractArrayRaw(record, 'policies') AS traces
    FROM decisions FINAL
)
ARRAY JOIN traces AS trace, arrayEnumerate(traces) AS place;

-- condition_log: one row per decision, policy and condition, with what the condition
-- expected and met.
{{view "condition_log"}}
SELECT
    account, decision_id, conversation_id, consumer_id, time, policy_revision, position, policy, state,
    JSONExtractString(condition, 'path') AS path,
    JSONExtractString(condition, 'attribute') AS attribute,
    JSONExtractString(condition, 'operator') AS operator,
    JSONExtractRaw(condition, 'expected') AS expected,
    JSONExtractRaw(condition, 'actual') AS actual,
    JSONExtractString(condition, 'truth') AS truth,
    JSONExtractString(condition, 'cause') AS cause,
    JSONExtractString(condition, 'source') AS source,
    JSONExtractInt(condition, 'age_ns') AS age_ns
FROM (
    SELECT account, decision_id, conversation_id, consumer_id, time, policy_revision, place AS position,
        JSONExtractString(trace, 'policy') AS policy, JSONExtractString(trace, 'state') AS state,
        JSONExtractArrayRaw(trace, 'conditions') AS conditions
    FROM (
        SELECT account, decision_id, conversation_id, consumer_id, time, policy_revision,
            JSONExtractArrayRaw(record, 'policies') AS traces
        FROM decisions FINAL
    )
    ARRAY JOIN traces AS trace, arrayEnumerate(traces) AS place
)
ARRAY JOIN conditions AS condition;
