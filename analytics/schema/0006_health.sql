-- How integrations did, and from when on.

CREATE TABLE IF NOT EXISTS health_changes
(
    at             DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    integration    LowCardinality(String),
    vendor         LowCardinality(String),
    before         LowCardinality(String),
    state          LowCardinality(String),
    reason         String CODEC(ZSTD(3)),
    node           LowCardinality(String),
    log_epoch      LowCardinality(String),
    log_generation UInt16,
    log_seq        UInt64 CODEC(Delta, ZSTD(1)),
    log_pos        UInt16,
    recorded_at    DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    INDEX log_seq_range log_seq TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (integration, at)
TTL toDateTime(recorded_at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
COMMENT 'One row a change of an integration''s state; an actor that begins, such as after a restart, begins as healthy'
