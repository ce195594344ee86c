-- How many inserts of a recorder the server is still busy with.
SELECT count() FROM system.processes WHERE startsWith(query_id, {prefix:String})
