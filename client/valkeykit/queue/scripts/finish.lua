#!lua flags=allow-oom
-- shared: clock wake count fence delete_jobs report_replies
-- keys: jobs active leases suspect errors traces progress cancelled losses started stats minutes wakeups | report
-- Acknowledges jobs that are done, where the worker still holds them. Further KEYS are those of the results, in order.
-- ARGV: worker, number of the report, how many have no result, then for each of those: id, attempt;
--       then for each of the others: id, attempt, how long to keep the result (ms), result
-- Returns the ids of those that it no longer held: another worker has them.
local RESULTS = 15
local worker, plain = ARGV[1], tonumber(ARGV[3])
local first = recall_report(ARGV[2])
if first then
  return first
end
local ids, attempts, results = {}, {}, {}
for i = 4, 3 + plain * 2, 2 do
  ids[#ids + 1], attempts[#attempts + 1] = ARGV[i], ARGV[i + 1]
end
for i = 4 + plain * 2, #ARGV, 4 do
  ids[#ids + 1], attempts[#attempts + 1] = ARGV[i], ARGV[i + 1]
  results[ARGV[i]] = { KEYS[RESULTS + #ids - plain], ARGV[i + 2], ARGV[i + 3] }
end

local mine, gone = held(worker, ids, attempts)
if #mine > 0 then
  redis.call("ZREM", leases, unpack(mine))
  delete_jobs(mine)
  for _, id in ipairs(mine) do
    local result = results[id]
    if result then
      redis.call("SET", result[1], result[3], "PX", result[2])
    end
  end
  count("completed", #mine)
  if redis.call("LLEN", suspect) > 0 then
    wake()
  end
end
return remember_report(ARGV[2], gone)
