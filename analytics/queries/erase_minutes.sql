-- A wedding's own numbers by the minute; what it adds to others' stays. See erase_attempts.sql.
ALTER TABLE slo_minutes
DELETE WHERE dimension = 'wedding' AND SHA256(concat({salt:String}, key)) = unhex({hash:String})
