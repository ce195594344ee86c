-- What became of each integration's deliveries since {since}. A delivery counts once, by its latest
-- replay's outcome; latency is from accepting the event to the end of a delivery that arrived.
WITH
    ended AS
    (
        SELECT
            delivery_id,
            argMax(
                (integration, vendor, outcome, latency_us),
                (replay, finished_at, log_seq)
            ) AS last
        FROM deliveries
        WHERE finished_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
        GROUP BY delivery_id
    )
SELECT
    integration,
    max(vendor)    AS vendor,
    sum(sent)      AS sent,
    sum(delivered) AS delivered,
    sum(dead)      AS dead,
    sum(skipped)   AS skipped,
    sum(calls)     AS calls,
    sum(p50)       AS p50_us,
    sum(p99)       AS p99_us
FROM
(
    SELECT
        last.1                          AS integration,
        max(last.2)                     AS vendor,
        toUInt64(0)                     AS sent,
        countIf(last.3 = 'delivered')   AS delivered,
        countIf(last.3 = 'dead')        AS dead,
        countIf(last.3 = 'skipped')     AS skipped,
        toUInt64(0)                     AS calls,
        quantileExactIf(0.5)(last.4, last.3 = 'delivered')  AS p50,
        quantileExactIf(0.99)(last.4, last.3 = 'delivered') AS p99
    FROM ended
    GROUP BY integration
    UNION ALL
    SELECT integration, max(vendor), uniqExact(delivery_id), 0, 0, 0, count(), 0, 0
    FROM attempts
    WHERE started_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
    GROUP BY integration
)
GROUP BY integration
ORDER BY integration
