-- Counts by {by}, one of overall, vendor, category, integration, event_type, wedding, over windows that end with
-- the hour that {now} is in. {starts} are the first hours of five windows, in seconds and ascending: band 5 lies in
-- all of them, band 1 only in the longest. Unless {all}, only those of {among}. Of {edges} alone, the days in which
-- windows begin and end; by_days.sql counts those in between.
SELECT
    key,
    toUInt8((hour >= {starts:Array(UInt32)}[1]) + (hour >= {starts:Array(UInt32)}[2]) + (hour >= {starts:Array(UInt32)}[3])
        + (hour >= {starts:Array(UInt32)}[4]) + (hour >= {starts:Array(UInt32)}[5])) AS band,
    sum(delivered) AS delivered,
    sum(dead)      AS dead,
    sum(in_time)   AS in_time,
    sum(recovered) AS recovered,
    sum(excluded)  AS excluded
FROM slo_hours
WHERE dimension = {by:String} AND hour >= {starts:Array(UInt32)}[1] AND hour <= toDateTime({now:UInt32}, 'UTC')
  AND toDate(hour) IN {edges:Array(Date)}
  AND ({all:Bool} OR has({among:Array(String)}, key))
GROUP BY key, band
