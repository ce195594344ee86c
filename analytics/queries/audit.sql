-- Audit records of [{since}, {until}), in microseconds, the newest first. Filters that are empty select
-- all: an actor also with what follows it behind a "/", an action also with what follows behind a ".".
-- Behind the record that ({before}, {generation}, {seq}, {epoch}) names; {before} 0: from the newest.
-- Only of whom the owner variables {names} have the {values}.
SELECT at, actor, action, target, outcome, detail, remote, node, log_generation, log_seq, log_epoch
FROM audit
WHERE at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
  AND at < fromUnixTimestamp64Micro({until:Int64}, 'UTC')
  AND ({actor:String} = '' OR actor = {actor:String} OR startsWith(actor, concat({actor:String}, '/')))
  AND ({action:String} = '' OR action = {action:String} OR startsWith(action, concat({action:String}, '.')))
  AND ({target:String} = '' OR target = {target:String})
  AND ({outcome:String} = '' OR outcome = {outcome:String})
  AND ({before:Int64} = 0 OR (toUnixTimestamp64Micro(at), log_generation, log_seq, log_epoch)
       < ({before:Int64}, {generation:UInt16}, {seq:UInt64}, {epoch:String}))
  AND arrayAll((name, value) -> owner[name] = value, {names:Array(String)}, {values:Array(String)})
ORDER BY toUnixTimestamp64Micro(at) DESC, log_generation DESC, log_seq DESC, log_epoch DESC
LIMIT {limit:UInt32}
