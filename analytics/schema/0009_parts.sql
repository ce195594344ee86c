-- What one insert brings is one file, and not two for each column to be written and synced; merges make it columns.

ALTER TABLE attempts MODIFY SETTING min_bytes_for_wide_part = 67108864;

ALTER TABLE deliveries MODIFY SETTING min_bytes_for_wide_part = 67108864
