DROP TABLE IF EXISTS tombstones ON CLUSTER usher SYNC;

DROP TABLE IF EXISTS tombstones_local ON CLUSTER usher SYNC;

DROP TABLE IF EXISTS installation_keys ON CLUSTER usher SYNC;

DROP TABLE IF EXISTS installation_keys_local ON CLUSTER usher SYNC;
