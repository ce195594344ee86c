-- Deliveries that ended in [{since}, {until}), in microseconds, the latest first; one that was replayed
-- is there once for each end. Filters that are empty select all. Behind the record that ({before},
-- {generation}, {seq}, {epoch}) names; {before} 0: from the latest. Unless {all}, only those to one {among}
-- these integrations.
SELECT
    finished_at, accepted_at, routed_at, delivery_id, replay, outcome, reason, attempts, event_id, event_type,
    channel, integration, vendor, category, wedding_id, node, latency_us, log_generation, log_seq, log_epoch
FROM deliveries
WHERE finished_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
  AND finished_at < fromUnixTimestamp64Micro({until:Int64}, 'UTC')
  AND toStartOfHour(finished_at) >= toStartOfHour(fromUnixTimestamp64Micro({since:Int64}, 'UTC')) -- by which the table is sorted
  AND toStartOfHour(finished_at) <= toStartOfHour(fromUnixTimestamp64Micro({until:Int64}, 'UTC'))
  AND ({delivery:String} = '' OR delivery_id = {delivery:String})
  AND ({channel:String} = '' OR channel = {channel:String})
  AND ({integration:String} = '' OR integration = {integration:String})
  AND ({event:String} = '' OR event_id = {event:String})
  AND ({wedding:String} = '' OR wedding_id = {wedding:String})
  AND ({type:String} = '' OR event_type = {type:String})
  AND ({vendor:String} = '' OR vendor = {vendor:String})
  AND ({category:String} = '' OR category = {category:String})
  AND ({reason:String} = '' OR reason = {reason:String})
  AND ({slower:Int64} = 0 OR latency_us > {slower:Int64})
  AND ({outcome:String} = '' OR outcome = {outcome:String})
  AND ({before:Int64} = 0 OR (toUnixTimestamp64Micro(finished_at), log_generation, log_seq, log_epoch)
       < ({before:Int64}, {generation:UInt16}, {seq:UInt64}, {epoch:String}))
  AND ({all:Bool} OR has({among:Array(String)}, integration))
ORDER BY toUnixTimestamp64Micro(finished_at) DESC, log_generation DESC, log_seq DESC, log_epoch DESC
LIMIT {limit:UInt32}
