DROP TABLE IF EXISTS rollup_progress ON CLUSTER usher SYNC;

DROP TABLE IF EXISTS rollup_progress_local ON CLUSTER usher SYNC;

DROP VIEW IF EXISTS rollup_hour ON CLUSTER usher SYNC;

DROP TABLE IF EXISTS rollup_hour_rows ON CLUSTER usher SYNC;

DROP TABLE IF EXISTS rollup_hour_rows_local ON CLUSTER usher SYNC;

DROP VIEW IF EXISTS rollup_day ON CLUSTER usher SYNC;

DROP TABLE IF EXISTS rollup_day_rows ON CLUSTER usher SYNC;

DROP TABLE IF EXISTS rollup_day_rows_local ON CLUSTER usher SYNC;
