-- The partitions of slo_hours that have the batch of a log that begins at {from}, which is its last.
SELECT DISTINCT toYYYYMM(hour)
FROM slo_hours
WHERE dimension = 'overall' AND log_epoch = {epoch:String} AND log_generation = {generation:UInt16} AND last_seq >= {from:UInt64}
