-- What vendors said later of a wedding's deliveries, without their words.
ALTER TABLE receipts
UPDATE event_id = {word:String}, detail = ''
WHERE delivery_id IN (SELECT delivery_id FROM deliveries WHERE wedding_id = {wedding:String})
