-- How the objectives are met by deliveries that ended in [{since}, {now}), by {by}: one of overall,
-- vendor, category, integration, event_type, wedding. And the same counts for six {windows} that end
-- at {now}, from which burn rates follow; {from} is where the longest of them, or the report, begins.
-- All times and widths are in microseconds.
--
-- A delivery counts once, by its latest replay's outcome. Few have more than one row, so those are
-- found by a hash of their ids first, and only they are looked at closely.
WITH
    again AS
    (
        SELECT sipHash64(delivery_id)
        FROM deliveries
        WHERE finished_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC')
          AND finished_at < fromUnixTimestamp64Micro({now:Int64}, 'UTC')
        GROUP BY sipHash64(delivery_id)
        HAVING count() > 1
    ),
    latest AS
    (
        SELECT delivery_id, max((replay, log_generation, log_seq, log_epoch)) AS last
        FROM deliveries
        WHERE finished_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC')
          AND finished_at < fromUnixTimestamp64Micro({now:Int64}, 'UTC')
          AND sipHash64(delivery_id) IN again
        GROUP BY delivery_id
    ),
    counted AS
    (
        SELECT
            ''         AS overall,
            vendor, category, integration, event_type,
            wedding_id AS wedding,
            outcome = 'delivered'                                  AS is_delivered,
            outcome = 'dead'                                       AS is_dead,
            outcome = 'skipped'                                    AS is_skipped,
            is_delivered AND latency_us <= {limit:Int64}           AS is_in_time,
            {now:Int64} - toUnixTimestamp64Micro(finished_at)      AS age,
            toUnixTimestamp64Micro(finished_at) >= {since:Int64}   AS is_reported
        FROM deliveries
        WHERE finished_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC')
          AND finished_at < fromUnixTimestamp64Micro({now:Int64}, 'UTC')
          AND (sipHash64(delivery_id) NOT IN again
               OR (delivery_id, replay, log_generation, log_seq, log_epoch) IN
                  (SELECT delivery_id, last.1, last.2, last.3, last.4 FROM latest))
    )
SELECT
    {by:Identifier}                        AS key,
    countIf(is_reported AND is_delivered)  AS delivered,
    countIf(is_reported AND is_dead)       AS dead,
    countIf(is_reported AND is_skipped)    AS skipped,
    countIf(is_reported AND is_in_time)    AS in_time,
    [
        countIf(age <= {windows:Array(Int64)}[1] AND (is_delivered OR is_dead)),
        countIf(age <= {windows:Array(Int64)}[2] AND (is_delivered OR is_dead)),
        countIf(age <= {windows:Array(Int64)}[3] AND (is_delivered OR is_dead)),
        countIf(age <= {windows:Array(Int64)}[4] AND (is_delivered OR is_dead)),
        countIf(age <= {windows:Array(Int64)}[5] AND (is_delivered OR is_dead)),
        countIf(age <= {windows:Array(Int64)}[6] AND (is_delivered OR is_dead))
    ]                                      AS window_total,
    [
        countIf(age <= {windows:Array(Int64)}[1] AND is_dead),
        countIf(age <= {windows:Array(Int64)}[2] AND is_dead),
        countIf(age <= {windows:Array(Int64)}[3] AND is_dead),
        countIf(age <= {windows:Array(Int64)}[4] AND is_dead),
        countIf(age <= {windows:Array(Int64)}[5] AND is_dead),
        countIf(age <= {windows:Array(Int64)}[6] AND is_dead)
    ]                                      AS window_dead
FROM counted
GROUP BY key
HAVING delivered + dead + skipped > 0
ORDER BY key
