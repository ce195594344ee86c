-- How many batches are not in the rollups.
SELECT count() FROM recorder_batches WHERE NOT rolled_up
