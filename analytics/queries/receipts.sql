-- What the vendor said became of one delivery's messages after it had accepted them, each status once.
-- An integration is heard on its own deliveries only, whatever ids it gives.
SELECT delivery_id, integration, vendor, status, at, reason, detail
FROM receipts
WHERE delivery_id = {delivery:String}
  AND integration IN (SELECT integration FROM attempts WHERE delivery_id = {delivery:String})
ORDER BY at, log_generation, log_seq
LIMIT 1 BY event_id
