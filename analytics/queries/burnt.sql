-- What the deliveries have in common that died in [{from}, {until}), in microseconds, count, and no replay has
-- delivered since: the vendors, reasons and weddings with the most of them, {top} of each. Unless {all}, only
-- those to {among} these integrations.
SELECT of.1 AS what, of.2 AS key, count() AS dead
FROM deliveries
ARRAY JOIN [('vendor', toString(vendor)), ('reason', toString(reason)), ('wedding', wedding_id)] AS of
WHERE finished_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC')
  AND finished_at < fromUnixTimestamp64Micro({until:Int64}, 'UTC')
  AND outcome = 'dead' AND excluded = ''
  AND ({all:Bool} OR has({among:Array(String)}, integration))
  AND delivery_id NOT IN
  (
      SELECT delivery_id
      FROM deliveries
      WHERE finished_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC')
        AND died_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC') AND outcome = 'delivered' AND replay > 0
  )
GROUP BY what, key
ORDER BY what, dead DESC, key
LIMIT {top:UInt32} BY what
