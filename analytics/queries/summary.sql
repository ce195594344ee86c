-- What became of each integration's deliveries since {since}, in microseconds. A delivery counts once,
-- by its latest replay's outcome; latency is from accepting the event to the end
-- of a delivery that arrived. A delivery was sent if at least one call was made for it. Reached, read
-- and failed is what the vendor said of its message later. Hours are asked for too, by which tables are sorted.
WITH
    again AS
    (
        SELECT sipHash64(delivery_id)
        FROM deliveries
        WHERE finished_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
          AND toStartOfHour(finished_at) >= toStartOfHour(fromUnixTimestamp64Micro({since:Int64}, 'UTC'))
        GROUP BY sipHash64(delivery_id)
        HAVING count() > 1
    ),
    latest AS
    (
        SELECT delivery_id, max((replay, log_generation, log_seq, log_epoch)) AS last
        FROM deliveries
        WHERE finished_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
          AND toStartOfHour(finished_at) >= toStartOfHour(fromUnixTimestamp64Micro({since:Int64}, 'UTC'))
          AND sipHash64(delivery_id) IN again
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
    sum(reached)   AS reached,
    sum(seen)      AS read,
    sum(failed)    AS failed,
    sum(p50)       AS p50_us,
    sum(p99)       AS p99_us
FROM
(
    SELECT
        integration,
        max(vendor)                    AS vendor,
        toUInt64(0)                    AS sent,
        countIf(outcome = 'delivered') AS delivered,
        countIf(outcome = 'dead')      AS dead,
        countIf(outcome = 'skipped')   AS skipped,
        toUInt64(0)                    AS calls,
        toUInt64(0)                    AS reached,
        toUInt64(0)                    AS seen,
        toUInt64(0)                    AS failed,
        quantileExactIf(0.5)(latency_us, outcome = 'delivered')  AS p50,
        quantileExactIf(0.99)(latency_us, outcome = 'delivered') AS p99
    FROM deliveries
    WHERE finished_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
      AND toStartOfHour(finished_at) >= toStartOfHour(fromUnixTimestamp64Micro({since:Int64}, 'UTC'))
      AND (sipHash64(delivery_id) NOT IN again
           OR (delivery_id, replay, log_generation, log_seq, log_epoch) IN
              (SELECT delivery_id, last.1, last.2, last.3, last.4 FROM latest))
    GROUP BY integration
    UNION ALL
    SELECT integration, max(vendor), uniqExact(delivery_id), 0, 0, 0, count(), 0, 0, 0, 0, 0
    FROM attempts
    WHERE started_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
    GROUP BY integration
    UNION ALL
    SELECT
        integration, max(vendor), 0, 0, 0, 0, 0,
        uniqExactIf(delivery_id, status IN ('delivered', 'read')),
        uniqExactIf(delivery_id, status = 'read'),
        uniqExactIf(delivery_id, status = 'failed'),
        0, 0
    FROM receipts
    WHERE at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
      AND toStartOfHour(at) >= toStartOfHour(fromUnixTimestamp64Micro({since:Int64}, 'UTC'))
    GROUP BY integration
)
GROUP BY integration
ORDER BY integration
