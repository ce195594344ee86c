-- How many rows each table has.
SELECT
    (SELECT count() FROM attempts)   AS attempts,
    (SELECT count() FROM deliveries) AS deliveries,
    (SELECT count() FROM receipts)   AS receipts,
    (SELECT count() FROM audit)      AS audit
