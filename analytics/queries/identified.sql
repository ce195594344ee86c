-- How many rows still name a wedding.
SELECT
    (SELECT count() FROM attempts WHERE wedding_id = {wedding:String})
  + (SELECT count() FROM deliveries WHERE wedding_id = {wedding:String}) AS rows
