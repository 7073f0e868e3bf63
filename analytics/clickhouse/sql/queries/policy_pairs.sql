-- Whether there are pairs (see fragments.sql) among the decisions and the outcomes of a
-- report: to sort them out takes longer than the report, and there are hardly ever any.
SELECT
    (SELECT count() FROM (SELECT 1 FROM decisions WHERE {{.Account}} AND {{.Since}} GROUP BY event_key HAVING min(time) < max(time) LIMIT 1)) > 0,
    (SELECT count() FROM (SELECT 1 FROM outcomes WHERE {{.Account}} AND {{.After}} GROUP BY event_key HAVING min(time) < max(time) LIMIT 1)) > 0
