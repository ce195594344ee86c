-- Counts as in by_hours.sql, of the whole days between {edges}, from the projection days. {days} are those in which the
-- five windows begin, ascending.
SELECT
    key,
    toUInt8((toDate(hour) > {days:Array(Date)}[1]) + (toDate(hour) > {days:Array(Date)}[2]) + (toDate(hour) > {days:Array(Date)}[3])
        + (toDate(hour) > {days:Array(Date)}[4]) + (toDate(hour) > {days:Array(Date)}[5])) AS band,
    sum(delivered) AS delivered,
    sum(dead)      AS dead,
    sum(in_time)   AS in_time,
    sum(recovered) AS recovered,
    sum(excluded)  AS excluded
FROM slo_hours
WHERE dimension = {by:String} AND toDate(hour) > {days:Array(Date)}[1] AND toDate(hour) < toDate(toDateTime({now:UInt32}, 'UTC'))
  AND toDate(hour) NOT IN {edges:Array(Date)}
  AND ({all:Bool} OR has({among:Array(String)}, key))
GROUP BY key, band
