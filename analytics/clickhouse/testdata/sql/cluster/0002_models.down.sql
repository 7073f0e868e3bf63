DROP TABLE IF EXISTS model_artifacts ON CLUSTER usher SYNC;

DROP TABLE IF EXISTS model_artifacts_local ON CLUSTER usher SYNC;

DROP TABLE IF EXISTS model_cards ON CLUSTER usher SYNC;

DROP TABLE IF EXISTS model_cards_local ON CLUSTER usher SYNC;
