-- The calls for a wedding's deliveries, without what tells whose they were.
ALTER TABLE attempts
UPDATE wedding_id = {word:String}, channel = {word:String}, event_id = {word:String}, detail = ''
WHERE wedding_id = {wedding:String}
