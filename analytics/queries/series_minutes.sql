-- How one {key} of {by} did over time, each {step} seconds from {start} to the minute that {now} is in.
SELECT
    toUInt32(intDiv(toUInt32(minute), {step:UInt32}) * {step:UInt32}) AS at,
    sum(delivered) AS delivered,
    sum(dead)      AS dead,
    sum(in_time)   AS in_time,
    sum(recovered) AS recovered,
    sum(excluded)  AS excluded
FROM slo_minutes
WHERE dimension = {by:String} AND key = {key:String}
  AND minute >= toDateTime({start:UInt32}, 'UTC') AND minute <= toDateTime({now:UInt32}, 'UTC')
GROUP BY at
ORDER BY at
