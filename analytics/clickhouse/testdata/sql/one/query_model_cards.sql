SELECT version, objective, created_at, rows, sha256, size, gate, gate_reason, card
FROM model_cards FINAL
WHERE account = {account:String}
ORDER BY created_at DESC, version DESC
LIMIT {limit:UInt64};
