-- What failed, apart from all that went well, so that what spent the budget is told without reading the latter: it
-- is one row a minute. A projection is written and merged with its part, and changed with it where a wedding is erased.

ALTER TABLE deliveries
    ADD COLUMN IF NOT EXISTS failed LowCardinality(String) MATERIALIZED
        multiIf(outcome = 'dead' AND excluded = '', 'died', outcome = 'delivered' AND replay > 0 AND died_at > toDateTime64(0, 6, 'UTC'), 'recovered', '')
        COMMENT 'died: it counts against the objectives; recovered: the replay that takes that back; else empty',
    ADD COLUMN IF NOT EXISTS failed_delivery String ALIAS if(failed = '', '', delivery_id) COMMENT 'What is known of it if it has failed',
    ADD COLUMN IF NOT EXISTS failed_vendor String ALIAS if(failed = '', '', vendor),
    ADD COLUMN IF NOT EXISTS failed_integration String ALIAS if(failed = '', '', integration),
    ADD COLUMN IF NOT EXISTS failed_reason String ALIAS if(failed = '', '', reason),
    ADD COLUMN IF NOT EXISTS failed_wedding String ALIAS if(failed = '', '', wedding_id);

ALTER TABLE deliveries ADD PROJECTION IF NOT EXISTS failures
(
    SELECT failed, toStartOfHour(finished_at), toStartOfMinute(finished_at), failed_vendor, failed_integration, failed_reason, failed_wedding, failed_delivery, count()
    GROUP BY failed, toStartOfHour(finished_at), toStartOfMinute(finished_at), failed_vendor, failed_integration, failed_reason, failed_wedding, failed_delivery
);

-- In the background: until an older part has it, it is read as before.
ALTER TABLE deliveries MATERIALIZE PROJECTION failures SETTINGS mutations_sync = 0
