-- How many rows still name a wedding, or say more than they may of its deliveries or of those erased before.
WITH
    SHA256(concat({salt:String}, wedding_id)) = unhex({hash:String}) AS theirs
SELECT
    (SELECT count() FROM attempts WHERE theirs)
  + (SELECT count() FROM deliveries WHERE theirs)
  + (SELECT count() FROM receipts WHERE event_id != {word:String} AND delivery_id IN (
        SELECT delivery_id FROM deliveries WHERE wedding_id = {word:String} OR theirs
        UNION DISTINCT
        SELECT delivery_id FROM attempts WHERE wedding_id = {word:String} OR theirs))
  + (SELECT uniqExact(minute) FROM slo_minutes WHERE dimension = 'wedding' AND SHA256(concat({salt:String}, key)) = unhex({hash:String}))
  + (SELECT uniqExact(hour) FROM slo_hours WHERE dimension = 'wedding' AND SHA256(concat({salt:String}, key)) = unhex({hash:String})) AS rows
