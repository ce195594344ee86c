-- The batches of a log that lie between two sequences, of all its generations, the latest first.
SELECT generation, from_seq, to_seq, records, digest, recorder
FROM recorder_batches
WHERE log_epoch = {epoch:String} AND records > 0 AND from_seq >= {first:UInt64} AND to_seq <= {last:UInt64}
ORDER BY generation DESC, from_seq DESC, proposed_at, recorder, to_seq
LIMIT 1 BY generation, from_seq
LIMIT 100000
