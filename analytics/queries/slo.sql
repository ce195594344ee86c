-- How the objectives are met by deliveries that ended in [{since}, {now}), by {by}; and the same
-- counts for windows that end at {now}, from which burn rates follow. {from} is where the longest of
-- them, or the report, begins. A delivery counts once, by its latest replay's outcome; skipped ones
-- do not count.
WITH
    ended AS
    (
        SELECT
            delivery_id,
            argMax(
                (vendor, category, integration, event_type, wedding_id, outcome, latency_us, finished_at),
                (replay, finished_at, log_seq)
            ) AS last
        FROM deliveries
        WHERE finished_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC')
          AND finished_at < fromUnixTimestamp64Micro({now:Int64}, 'UTC')
        GROUP BY delivery_id
    ),
    named AS
    (
        SELECT
            ''     AS overall,
            last.1 AS vendor,
            last.2 AS category,
            last.3 AS integration,
            last.4 AS event_type,
            last.5 AS wedding,
            last.6 AS outcome,
            last.7 AS latency,
            toUnixTimestamp64Micro(last.8)  AS finished,
            finished >= {since:Int64}       AS reported,
            outcome IN ('delivered', 'dead') AS counted
        FROM ended
    )
SELECT
    {by:Identifier}                                                         AS key,
    countIf(reported AND outcome = 'delivered')                             AS delivered,
    countIf(reported AND outcome = 'dead')                                  AS dead,
    countIf(reported AND outcome = 'skipped')                               AS skipped,
    countIf(reported AND outcome = 'delivered' AND latency <= {limit:Int64}) AS in_time,
    sumForEach(arrayMap(w -> toUInt64(counted AND finished >= {now:Int64} - w), {windows:Array(Int64)}))            AS window_total,
    sumForEach(arrayMap(w -> toUInt64(outcome = 'dead' AND finished >= {now:Int64} - w), {windows:Array(Int64)}))   AS window_dead
FROM named
GROUP BY key
HAVING delivered + dead + skipped > 0
ORDER BY key
