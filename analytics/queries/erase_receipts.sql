-- What vendors said later of a wedding's deliveries, ended or not, without their words. What they say
-- after an erasure goes with the next one: by then the delivery is nobody's.
ALTER TABLE receipts
UPDATE event_id = {word:String}, detail = ''
WHERE event_id != {word:String} AND delivery_id IN (
    SELECT delivery_id FROM deliveries
    WHERE wedding_id = {word:String} OR SHA256(concat({salt:String}, wedding_id)) = unhex({hash:String})
    UNION DISTINCT
    SELECT delivery_id FROM attempts
    WHERE wedding_id = {word:String} OR SHA256(concat({salt:String}, wedding_id)) = unhex({hash:String}))
