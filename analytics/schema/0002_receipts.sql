-- What vendors say became of messages that they had accepted.

CREATE TABLE IF NOT EXISTS receipts
(
    at             DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    delivery_id    String CODEC(ZSTD(1)),
    integration    LowCardinality(String),
    vendor         LowCardinality(String),
    event_id       String CODEC(ZSTD(1)),
    status         LowCardinality(String),
    reason         LowCardinality(String),
    detail         String CODEC(ZSTD(3)),
    node           LowCardinality(String),
    log_epoch      LowCardinality(String),
    log_generation UInt16,
    log_seq        UInt64 CODEC(Delta, ZSTD(1)),
    log_pos        UInt16,
    recorded_at    DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    INDEX log_seq_range log_seq TYPE minmax GRANULARITY 1,
    INDEX delivery_ids delivery_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (toStartOfHour(at), vendor, integration, at)
TTL toDateTime(recorded_at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
COMMENT 'One row a status of a delivered message: sent, delivered, read or failed';
