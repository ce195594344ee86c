-- The ends of a wedding's deliveries, without what tells whose they were; see erase_attempts.sql.
ALTER TABLE deliveries
UPDATE wedding_id = {word:String}, channel = {word:String}, event_id = {word:String}
WHERE SHA256(concat({salt:String}, wedding_id)) = unhex({hash:String})
