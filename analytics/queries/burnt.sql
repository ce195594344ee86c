-- What the deliveries have in common that died in [{from}, {until}), in seconds and full minutes, count, and no replay
-- has delivered since: the vendors, reasons and weddings with the most of them, {top} of each. Unless {all}, only
-- those to {among} these integrations. Those that a replay has delivered are taken off. The projection failures answers;
-- the hours are told apart from the minutes since the table is sorted by the former.
WITH
    died AS
    (
        SELECT failed_vendor, failed_reason, failed_wedding, failed_delivery
        FROM deliveries
        WHERE failed = 'died' AND toStartOfHour(finished_at) >= toStartOfHour(toDateTime({from:UInt32}, 'UTC'))
          AND dateDiff('minute', toDateTime({from:UInt32}, 'UTC'), toStartOfMinute(finished_at)) >= 0
          AND dateDiff('minute', toDateTime({until:UInt32}, 'UTC'), toStartOfMinute(finished_at)) < 0
          AND ({all:Bool} OR has({among:Array(String)}, failed_integration))
    ),
    recovered AS
    (
        SELECT failed_vendor, failed_reason, failed_wedding, count() AS ends
        FROM died
        WHERE failed_delivery IN
        (
            SELECT failed_delivery
            FROM deliveries
            WHERE failed = 'recovered' AND toStartOfHour(finished_at) >= toStartOfHour(toDateTime({from:UInt32}, 'UTC'))
            GROUP BY failed_delivery
        )
        GROUP BY failed_vendor, failed_reason, failed_wedding
    )
SELECT what, key, toUInt64(sum(ends)) AS dead
FROM
(
    SELECT 'vendor' AS what, failed_vendor AS key, toInt64(count()) AS ends FROM died GROUP BY key
    UNION ALL
    SELECT 'reason', failed_reason AS key, toInt64(count()) FROM died GROUP BY key
    UNION ALL
    SELECT 'wedding', failed_wedding AS key, toInt64(count()) FROM died GROUP BY key
    UNION ALL
    SELECT of.1, of.2, -toInt64(ends)
    FROM recovered
    ARRAY JOIN [('vendor', failed_vendor), ('reason', failed_reason), ('wedding', failed_wedding)] AS of
)
GROUP BY what, key
HAVING dead > 0
ORDER BY what, dead DESC, key
LIMIT {top:UInt32} BY what
