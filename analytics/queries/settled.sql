-- Where the latest batch begins that was proposed before a time. A batch is proposed when all before
-- it are committed, so everything below that place was committed by then.
SELECT max(from_seq)
FROM recorder_batches
WHERE log_epoch = {epoch:String} AND generation = {generation:UInt16}
  AND proposed_at < fromUnixTimestamp64Milli({before:Int64}, 'UTC')
