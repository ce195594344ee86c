-- What the deliveries have in common that died in [{from}, {until}), in seconds and full minutes, count, and no replay
-- has delivered since: the vendors, reasons and weddings with the most of them, {top} of each. Unless {all}, only
-- those to {among} these integrations. The projection failures answers both inner questions.
WITH
    died AS
    (
        SELECT failure, count() AS ends
        FROM deliveries
        WHERE failed = 'died' AND toStartOfMinute(finished_at) >= toDateTime({from:UInt32}, 'UTC')
          AND toStartOfMinute(finished_at) < toDateTime({until:UInt32}, 'UTC')
        GROUP BY failure
    ),
    recovered AS
    (
        SELECT failure
        FROM deliveries
        WHERE failed = 'recovered' AND toStartOfMinute(finished_at) >= toDateTime({from:UInt32}, 'UTC')
        GROUP BY failure
    )
SELECT of.1 AS what, of.2 AS key, sum(ends) AS dead
FROM died
ARRAY JOIN [('vendor', failure.vendor), ('reason', failure.reason), ('wedding', failure.wedding)] AS of
WHERE ({all:Bool} OR has({among:Array(String)}, failure.integration))
  AND failure.delivery NOT IN (SELECT failure.delivery FROM recovered)
GROUP BY what, key
ORDER BY what, dead DESC, key
LIMIT {top:UInt32} BY what
