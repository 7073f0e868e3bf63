SELECT
    d.decision_id, d.conversation_id, d.time, d.channel, d.intent,
    d.attributes_string, d.attributes_number, d.attributes_bool, d.attributes_list,
    d.skill_names, d.skill_agents, d.skill_queues, d.skill_loads, d.skill_waits,
    d.chosen_type, d.chosen, d.chosen_string, d.chosen_number, d.chosen_bool, d.chosen_list,
    d.propensity, d.explored, d.decided_by, d.baseline, d.policy_only, d.model_only,
    d.policy, d.model_version, d.mode,
    d.candidate_keys, d.candidate_eligible, d.candidate_probabilities,
    r.reward, r.outcomes, r.silent = 1, r.reward_time, r.known_at
FROM (SELECT * EXCEPT (record) FROM decisions FINAL WHERE {{.Account}} AND {{.Target}}) AS d
INNER JOIN (
    SELECT decision_id, decision_time, reward, outcomes, silent, reward_time, known_at
    FROM (
        {{template "rewards" .}}
    )
    WHERE known_at > fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    ORDER BY decision_time DESC, decision_id DESC
    LIMIT {limit:UInt64}
) AS r ON d.decision_id = r.decision_id AND d.time = r.decision_time
ORDER BY d.time, d.decision_id
