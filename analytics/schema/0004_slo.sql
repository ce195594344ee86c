-- The objectives' numbers by the minute and by the hour, for each key of each dimension (overall, vendor,
-- category, integration, event_type, wedding); not for weddings that were erased. docs/slo.md says what counts.

ALTER TABLE deliveries
    ADD COLUMN IF NOT EXISTS excluded LowCardinality(String) DEFAULT multiIf(replay > 0, 'replay', outcome = 'skipped', 'skipped', '')
    COMMENT 'Why it does not count for the objectives; empty: it does' AFTER reason,
    ADD COLUMN IF NOT EXISTS died_at DateTime64(6, 'UTC') DEFAULT toDateTime64(0, 6, 'UTC')
    COMMENT 'Of a replay: when the delivery first ended, if that counts; else 1970' CODEC(Delta, ZSTD(1)) AFTER replay;

-- Which batches are in the rollups. The recorder builds those anew from what an older release recorded.
ALTER TABLE recorder_batches
    ADD COLUMN IF NOT EXISTS rolled_up Bool DEFAULT false COMMENT 'The rollups have it, too' AFTER recorder;

-- A batch comes into a rollup's partition in one part, or not at all. last_seq is the last record in a row; it
-- stays through merges, and is above those of all batches before: so it tells whether the last batch is there.
CREATE TABLE IF NOT EXISTS slo_minutes
(
    dimension      LowCardinality(String),
    minute         DateTime('UTC') CODEC(Delta, ZSTD(1)),
    key            String CODEC(ZSTD(1)),
    log_epoch      LowCardinality(String),
    log_generation UInt16,
    delivered      SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    dead           SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    in_time        SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    recovered      SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    excluded       SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    latency_ms     AggregateFunction(quantilesTDigest(0.5, 0.9, 0.99), Float32) CODEC(ZSTD(1)),
    last_seq       SimpleAggregateFunction(max, UInt64) CODEC(Delta, ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMMDD(minute)
ORDER BY (dimension, minute, key, log_epoch, log_generation)
TTL minute + INTERVAL 8 DAY
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
COMMENT 'Deliveries that first ended in a minute: delivered, of these in time, dead, of these recovered by a replay; and excluded ones. Latency of those delivered';

CREATE TABLE IF NOT EXISTS slo_hours
(
    dimension      LowCardinality(String),
    hour           DateTime('UTC') CODEC(Delta, ZSTD(1)),
    key            String CODEC(ZSTD(1)),
    log_epoch      LowCardinality(String),
    log_generation UInt16,
    delivered      SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    dead           SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    in_time        SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    recovered      SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    excluded       SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    latency_ms     AggregateFunction(quantilesTDigest(0.5, 0.9, 0.99), Float32) CODEC(ZSTD(1)),
    last_seq       SimpleAggregateFunction(max, UInt64) CODEC(Delta, ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (dimension, hour, key, log_epoch, log_generation)
TTL hour + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
COMMENT 'slo_minutes, by the hour';

-- What goes into the rollups; minutes and hours say into which. A delivery's first end is delivered, in time or
-- not, or dead, or excluded. A replay that delivers one that counts as dead is recovered, at the time of that end.
CREATE TABLE IF NOT EXISTS slo_feed
(
    finished_at    DateTime64(6, 'UTC'),
    latency_us     Int64,
    is_delivered   Bool,
    is_dead        Bool,
    is_in_time     Bool,
    is_recovered   Bool,
    is_excluded    Bool,
    vendor         LowCardinality(String),
    category       LowCardinality(String),
    integration    LowCardinality(String),
    event_type     LowCardinality(String),
    wedding_id     String,
    log_epoch      LowCardinality(String),
    log_generation UInt16,
    log_seq        UInt64,
    log_pos        UInt16,
    minutes        Bool,
    hours          Bool
)
ENGINE = Null
COMMENT 'Keeps nothing: what is inserted goes into slo_minutes and slo_hours';

CREATE MATERIALIZED VIEW IF NOT EXISTS slo_minutes_feed TO slo_minutes AS
SELECT
    toStartOfMinute(finished_at) AS minute,
    of.1              AS dimension,
    of.2              AS key,
    log_epoch,
    log_generation,
    sum(is_delivered) AS delivered,
    sum(is_dead)      AS dead,
    sum(is_in_time)   AS in_time,
    sum(is_recovered) AS recovered,
    sum(is_excluded)  AS excluded,
    quantilesTDigestStateIf(0.5, 0.9, 0.99)(toFloat32(latency_us / 1000), is_delivered) AS latency_ms,
    max(log_seq)      AS last_seq
FROM slo_feed
ARRAY JOIN [('overall', ''), ('vendor', toString(vendor)), ('category', toString(category)),
            ('integration', toString(integration)), ('event_type', toString(event_type)), ('wedding', wedding_id)] AS of
WHERE minutes AND of != ('wedding', 'erased')
GROUP BY minute, of, log_epoch, log_generation;

CREATE MATERIALIZED VIEW IF NOT EXISTS slo_hours_feed TO slo_hours AS
SELECT
    toStartOfHour(finished_at) AS hour,
    of.1              AS dimension,
    of.2              AS key,
    log_epoch,
    log_generation,
    sum(is_delivered) AS delivered,
    sum(is_dead)      AS dead,
    sum(is_in_time)   AS in_time,
    sum(is_recovered) AS recovered,
    sum(is_excluded)  AS excluded,
    quantilesTDigestStateIf(0.5, 0.9, 0.99)(toFloat32(latency_us / 1000), is_delivered) AS latency_ms,
    max(log_seq)      AS last_seq
FROM slo_feed
ARRAY JOIN [('overall', ''), ('vendor', toString(vendor)), ('category', toString(category)),
            ('integration', toString(integration)), ('event_type', toString(event_type)), ('wedding', wedding_id)] AS of
WHERE hours AND of != ('wedding', 'erased')
GROUP BY hour, of, log_epoch, log_generation
