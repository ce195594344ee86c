-- A wedding's own numbers by the hour; see erase_minutes.sql.
ALTER TABLE slo_hours
DELETE WHERE dimension = 'wedding' AND SHA256(concat({salt:String}, key)) = unhex({hash:String})
