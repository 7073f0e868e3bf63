DROP VIEW IF EXISTS decision_outcomes SYNC;

DROP VIEW IF EXISTS attributed_outcomes SYNC;

DROP VIEW IF EXISTS objectives SYNC;
