-- Which rows of a batch a table has.
SELECT log_seq, log_pos
FROM {table:Identifier}
WHERE log_epoch = {epoch:String} AND log_generation = {generation:UInt16}
  AND log_seq BETWEEN {from:UInt64} AND {to:UInt64}
