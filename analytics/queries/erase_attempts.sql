-- The calls for a wedding's deliveries, without what tells whose they were. The wedding is told by a
-- salted hash: ClickHouse keeps the texts of its latest mutations, ids and all.
ALTER TABLE attempts
UPDATE wedding_id = {word:String}, channel = {word:String}, event_id = {word:String}, trace_id = '', detail = ''
WHERE SHA256(concat({salt:String}, wedding_id)) = unhex({hash:String})
