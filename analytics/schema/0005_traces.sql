-- The trace in which a call is.

ALTER TABLE attempts
    ADD COLUMN IF NOT EXISTS trace_id String COMMENT 'W3C trace id, 32 hex digits; empty where the event had no trace' CODEC(ZSTD(1)) AFTER event_id,
    ADD INDEX IF NOT EXISTS trace_ids trace_id TYPE bloom_filter(0.01) GRANULARITY 1
