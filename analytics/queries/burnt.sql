-- What the deliveries have in common that died in [{from}, {until}), in microseconds, count, and no replay has
-- delivered since: the vendors, reasons and weddings with the most of them, {top} of each. Unless {all}, only
-- those to {among} these integrations. Those that a replay has delivered are few, so they are found by their ids and
-- taken off, and the ids of all others are not read.
WITH died AS
(
    SELECT delivery_id, vendor, reason, wedding_id
    FROM deliveries
    WHERE finished_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC')
      AND finished_at < fromUnixTimestamp64Micro({until:Int64}, 'UTC')
      AND outcome = 'dead' AND excluded = ''
      AND ({all:Bool} OR has({among:Array(String)}, integration))
)
SELECT of.1 AS what, of.2 AS key, toUInt64(sum(one)) AS dead
FROM
(
    SELECT vendor, reason, wedding_id, toInt64(1) AS one
    FROM died
    UNION ALL
    SELECT vendor, reason, wedding_id, toInt64(-1) AS one
    FROM died
    WHERE delivery_id IN
    (
        SELECT delivery_id
        FROM deliveries
        WHERE finished_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC')
          AND died_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND outcome = 'delivered' AND replay > 0
    )
)
ARRAY JOIN [('vendor', toString(vendor)), ('reason', toString(reason)), ('wedding', wedding_id)] AS of
GROUP BY what, key
HAVING dead > 0
ORDER BY what, dead DESC, key
LIMIT {top:UInt32} BY what
