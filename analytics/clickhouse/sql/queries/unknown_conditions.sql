SELECT attribute, uniqExact(decision_id) AS n, arraySort(groupUniqArray(toString(policy)))
FROM (
    SELECT decision_id, arrayJoin(arrayZip(unknown_attributes, unknown_policies)) AS unknown, unknown.1 AS attribute, unknown.2 AS policy
    FROM decisions FINAL
    WHERE {{.Account}} AND {{.Target}} AND notEmpty(unknown_attributes)
)
GROUP BY attribute
ORDER BY n DESC, attribute
