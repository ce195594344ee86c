-- Brings all deliveries into the rollups, which are empty.
INSERT INTO slo_feed
SELECT
    finished_at,
    latency_us,
    excluded = '' AND outcome = 'delivered'    AS is_delivered,
    excluded = '' AND outcome = 'dead'         AS is_dead,
    excluded != ''                             AS is_excluded,
    is_delivered AND latency_us <= {limit:Int64} AS is_in_time,
    vendor, category, integration, event_type, wedding_id, log_epoch, log_generation, log_seq, log_pos,
    true                                       AS minutes,
    true                                       AS hours
FROM deliveries
