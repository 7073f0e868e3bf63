DROP TABLE IF EXISTS rollup_progress SYNC;

DROP VIEW IF EXISTS rollup_hour SYNC;

DROP TABLE IF EXISTS rollup_hour_rows SYNC;

DROP VIEW IF EXISTS rollup_day SYNC;

DROP TABLE IF EXISTS rollup_day_rows SYNC;
