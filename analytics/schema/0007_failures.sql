-- What failed, apart from all that went well, so that what spent the budget is told without reading the latter: it
-- is one row a minute. A projection is written and merged with its part, and changed with it where a wedding is erased.

ALTER TABLE deliveries
    ADD COLUMN IF NOT EXISTS failed String ALIAS
        multiIf(outcome = 'dead' AND excluded = '', 'died', outcome = 'delivered' AND replay > 0 AND died_at > toDateTime64(0, 6, 'UTC'), 'recovered', '')
    COMMENT 'died: it counts against the objectives; recovered: the replay that takes that back; else empty',
    ADD COLUMN IF NOT EXISTS failure Tuple(vendor String, reason String, wedding String, integration String, delivery String) ALIAS
        if(empty(failed), ('', '', '', '', ''), (vendor, reason, wedding_id, integration, delivery_id))
    COMMENT 'What is known of it if it has failed';

ALTER TABLE deliveries
    ADD PROJECTION IF NOT EXISTS failures (SELECT failed, toStartOfMinute(finished_at), failure, count() GROUP BY failed, toStartOfMinute(finished_at), failure);

ALTER TABLE deliveries MATERIALIZE PROJECTION failures
