-- The numbers by the day, in each part of slo_hours, for windows that last many.

ALTER TABLE slo_hours MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild';

ALTER TABLE slo_hours
    ADD PROJECTION IF NOT EXISTS days (SELECT dimension, toDate(hour), key, sum(delivered), sum(dead), sum(in_time), sum(recovered), sum(excluded) GROUP BY dimension, toDate(hour), key);

ALTER TABLE slo_hours MATERIALIZE PROJECTION days SETTINGS mutations_sync = 0
