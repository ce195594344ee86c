-- For how many seconds somebody has held the lock on the schema; 0 if nobody does.
SELECT if(count() = 0, 0, toUInt64(greatest(dateDiff('second', max(metadata_modification_time), now()), 0)))
FROM system.tables
WHERE database = currentDatabase() AND name = 'schema_lock'
