-- The calls made for one delivery, over all its replays.
SELECT
    delivery_id, replay, number, node, event_id, trace_id, event_type, channel, integration, vendor,
    started_at, duration_us, status, verdict, reason, detail, probe
FROM attempts
WHERE delivery_id = {delivery:String}
ORDER BY number, started_at
