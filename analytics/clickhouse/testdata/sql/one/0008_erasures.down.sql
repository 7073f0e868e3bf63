DROP TABLE IF EXISTS tombstones SYNC;

DROP TABLE IF EXISTS installation_keys SYNC;
