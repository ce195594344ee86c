-- The batch that begins at a place in a log; the first that was proposed.
SELECT generation, from_seq, to_seq, records, digest, recorder
FROM recorder_batches
WHERE log_epoch = {epoch:String} AND generation = {generation:UInt16} AND from_seq = {from:UInt64}
ORDER BY proposed_at, recorder, to_seq
LIMIT 1
