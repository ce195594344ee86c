-- How one {key} of {by} did over time, each {step} seconds from {start} to the hour that {now} is in.
SELECT
    toUInt32(intDiv(toUInt32(hour), {step:UInt32}) * {step:UInt32}) AS at,
    sum(delivered) AS delivered,
    sum(dead)      AS dead,
    sum(in_time)   AS in_time,
    sum(recovered) AS recovered,
    sum(excluded)  AS excluded
FROM slo_hours
WHERE dimension = {by:String} AND key = {key:String}
  AND hour >= toDateTime({start:UInt32}, 'UTC') AND hour <= toDateTime({now:UInt32}, 'UTC')
GROUP BY at
ORDER BY at
