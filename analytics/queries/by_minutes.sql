-- Counts by {by}, one of overall, vendor, category, integration, event_type, wedding, over windows that end with
-- the minute that {now} is in. {starts} are the first minutes of five windows, in seconds and ascending: band 5 lies in
-- all of them, band 1 only in the longest. Unless {all}, only those of {among}.
SELECT
    key,
    toUInt8((minute >= {starts:Array(UInt32)}[1]) + (minute >= {starts:Array(UInt32)}[2]) + (minute >= {starts:Array(UInt32)}[3])
        + (minute >= {starts:Array(UInt32)}[4]) + (minute >= {starts:Array(UInt32)}[5])) AS band,
    sum(delivered) AS delivered,
    sum(dead)      AS dead,
    sum(in_time)   AS in_time,
    sum(recovered) AS recovered,
    sum(excluded)  AS excluded
FROM slo_minutes
WHERE dimension = {by:String} AND minute >= {starts:Array(UInt32)}[1] AND minute <= toDateTime({now:UInt32}, 'UTC')
  AND ({all:Bool} OR has({among:Array(String)}, key))
GROUP BY key, band
