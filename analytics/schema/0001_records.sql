-- What the recorder writes. Every row carries its place in the record log: the log's epoch, the
-- generation (it rises when the log was set back, by a restore or a power failure), the record's
-- sequence and the row's position in the record. A row is there once for each place.
--
-- non_replicated_deduplication_window makes insert tokens work without replication; replicated
-- engines have them by default. fsync_after_insert: an insert that was answered survives a power
-- failure, because the recorder never goes back further than the last batch.

CREATE TABLE IF NOT EXISTS recorder_batches
(
    log_epoch   LowCardinality(String),
    generation  UInt16,
    from_seq    UInt64 CODEC(Delta, ZSTD(1)),
    to_seq      UInt64 CODEC(Delta, ZSTD(1)),
    records     UInt32,
    digest      UInt64,                                        -- of the records' bytes
    recorder    LowCardinality(String),
    proposed_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(proposed_at)
ORDER BY (log_epoch, generation, from_seq)
TTL toDateTime(proposed_at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
COMMENT 'The batches that the recorder was about to insert; the last one of an epoch may be unfinished';

CREATE TABLE IF NOT EXISTS attempts
(
    started_at     DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    duration_us    UInt64 CODEC(T64, ZSTD(1)),
    delivery_id    String CODEC(ZSTD(1)),
    replay         UInt16,
    number         UInt16,
    event_id       String CODEC(ZSTD(1)),
    event_type     LowCardinality(String),
    channel        String CODEC(ZSTD(1)),
    integration    LowCardinality(String),
    vendor         LowCardinality(String),
    category       LowCardinality(String),
    wedding_id     String CODEC(ZSTD(1)),
    status         UInt16,
    verdict        LowCardinality(String),
    reason         LowCardinality(String),
    detail         String CODEC(ZSTD(3)),
    probe          Bool,
    accepted_at    DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    routed_at      DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
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
PARTITION BY toYYYYMMDD(started_at)
ORDER BY (toStartOfHour(started_at), vendor, integration, started_at)
TTL toDateTime(recorded_at) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
COMMENT 'One row a call to a vendor';

CREATE TABLE IF NOT EXISTS deliveries
(
    finished_at    DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    accepted_at    DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    routed_at      DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    delivery_id    String CODEC(ZSTD(1)),
    replay         UInt16,
    outcome        LowCardinality(String),
    reason         LowCardinality(String),
    attempts       UInt16,
    event_id       String CODEC(ZSTD(1)),
    event_type     LowCardinality(String),
    channel        String CODEC(ZSTD(1)),
    integration    LowCardinality(String),
    vendor         LowCardinality(String),
    category       LowCardinality(String),
    wedding_id     String CODEC(ZSTD(1)),
    node           LowCardinality(String),
    log_epoch      LowCardinality(String),
    log_generation UInt16,
    log_seq        UInt64 CODEC(Delta, ZSTD(1)),
    log_pos        UInt16,
    recorded_at    DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    latency_us     Int64 ALIAS toUnixTimestamp64Micro(finished_at) - toUnixTimestamp64Micro(accepted_at),
    INDEX log_seq_range log_seq TYPE minmax GRANULARITY 1,
    INDEX delivery_ids delivery_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(finished_at)
ORDER BY (toStartOfHour(finished_at), vendor, integration, finished_at)
TTL toDateTime(recorded_at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
COMMENT 'One row a delivery that has ended, and one more for each replay that has';

CREATE TABLE IF NOT EXISTS audit
(
    at             DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    actor          String CODEC(ZSTD(1)),
    action         LowCardinality(String),
    target         String CODEC(ZSTD(1)),
    outcome        LowCardinality(String),
    detail         String CODEC(ZSTD(3)),
    remote         String CODEC(ZSTD(1)),
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
ORDER BY (at, action)
TTL toDateTime(recorded_at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
COMMENT 'One row an admin action or webhook verdict';
