#!lua flags=allow-oom
-- shared: clock wake count fence delete_jobs report_replies
-- keys: jobs active leases suspect errors traces progress cancelled losses started stats minutes recent wakeups | report
-- Acknowledges jobs that are done, where the worker still holds them. Further KEYS are those of the results, in order.
-- ARGV: worker, number of the report, how long they ran in total (ms), lines for the list of recent jobs ("" for none),
--       how many jobs have no result, then for each of those: id, attempt;
--       then for each of the others: id, attempt, how long to keep the result (ms), result
-- Returns the ids of those that it no longer held: another worker has them.
local RESULTS, RECENT = 16, 1000
local worker, plain = ARGV[1], tonumber(ARGV[5])
local first = recall_report(ARGV[2])
if first then
  return first
end
local ids, attempts, results = {}, {}, {}
for i = 6, 5 + plain * 2, 2 do
  ids[#ids + 1], attempts[#attempts + 1] = ARGV[i], ARGV[i + 1]
end
for i = 6 + plain * 2, #ARGV, 4 do
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
  if ARGV[3] ~= "0" then -- a lost job may be included, as among the lines
    redis.call("HINCRBY", stats, "run_ms", ARGV[3])
  end
  if ARGV[4] ~= "" and redis.call("LPUSH", recent, string.format("%.0f\n", now) .. ARGV[4]) > RECENT * 1.1 then
    redis.call("LTRIM", recent, 0, RECENT - 1)
  end
  if redis.call("LLEN", suspect) > 0 then
    wake()
  end
end
return remember_report(ARGV[2], gone)
