#!lua flags=allow-oom
-- shared: clock wake count header fence delete_jobs free_key end_cancelled report_replies
-- keys: jobs active leases suspect errors traces progress cancelled losses started unique unique_ends stats minutes wakeups | report
-- Ends jobs that were cancelled while they ran, where the worker still holds them.
-- ARGV: worker, number of the report, then for each job: id, attempt
-- Returns the ids of those that it no longer held.
local worker, ids, attempts = ARGV[1], {}, {}
local first = recall_report(ARGV[2])
if first then
  return first
end
for i = 3, #ARGV, 2 do
  ids[#ids + 1], attempts[#attempts + 1] = ARGV[i], ARGV[i + 1]
end
local mine, gone = held(worker, ids, attempts)
for _, id in ipairs(mine) do
  end_cancelled(id)
end
if redis.call("LLEN", suspect) > 0 then
  wake()
end
return remember_report(ARGV[2], gone)
