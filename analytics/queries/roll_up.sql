-- Brings all deliveries into the rollups, which are empty.
INSERT INTO slo_feed
SELECT
    if(is_recovered, died_at, finished_at)       AS finished_at,
    latency_us,
    excluded = '' AND outcome = 'delivered'      AS is_delivered,
    excluded = '' AND outcome = 'dead'           AS is_dead,
    is_delivered AND latency_us <= {limit:Int64} AS is_in_time,
    replay > 0 AND outcome = 'delivered' AND died_at > toDateTime64(0, 6) AS is_recovered,
    excluded NOT IN ('', 'replay')               AS is_excluded,
    vendor, category, integration, event_type, wedding_id, log_epoch, log_generation, log_seq, log_pos,
    true                                         AS minutes,
    true                                         AS hours
FROM deliveries
WHERE (excluded != 'replay' OR is_recovered)
