-- The ends of a wedding's deliveries, without what tells whose they were.
ALTER TABLE deliveries
UPDATE wedding_id = {word:String}, channel = {word:String}, event_id = {word:String}
WHERE wedding_id = {wedding:String}
