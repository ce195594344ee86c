-- The latest batch of a log. Of two recorders that proposed one for the same place, the first counts.
SELECT generation, from_seq, to_seq, records, digest, recorder
FROM recorder_batches
WHERE log_epoch = {epoch:String}
ORDER BY generation DESC, from_seq DESC, proposed_at, recorder, to_seq
LIMIT 1
