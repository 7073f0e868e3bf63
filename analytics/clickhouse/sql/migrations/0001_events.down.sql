{{drop "ingest_offsets"}}
{{drop "dead_letters"}}
{{drop "config_log"}}
{{drop "skill_states"}}
{{drop "outcomes"}}
{{drop "decisions"}}
