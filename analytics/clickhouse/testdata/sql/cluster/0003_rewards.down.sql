DROP VIEW IF EXISTS decision_outcomes ON CLUSTER usher SYNC;

DROP VIEW IF EXISTS attributed_outcomes ON CLUSTER usher SYNC;

DROP VIEW IF EXISTS objectives ON CLUSTER usher SYNC;
