-- Notes that all batches are in the rollups.
ALTER TABLE recorder_batches UPDATE rolled_up = true WHERE NOT rolled_up
