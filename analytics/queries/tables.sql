-- How much each table has on this server.
SELECT t.name, coalesce(t.total_rows, 0) AS rows, coalesce(t.total_bytes, 0) AS bytes, toUInt64(countIf(p.active)) AS parts
FROM system.tables AS t
LEFT JOIN system.parts AS p ON p.database = t.database AND p.table = t.name
WHERE t.database = currentDatabase() AND t.engine LIKE '%MergeTree'
GROUP BY t.name, rows, bytes
ORDER BY t.name
