#!lua flags=no-writes
-- shared: keys
-- Everything known of one job.
-- ARGV: id
-- Returns state, record, attempts, error, progress, result.
local id = ARGV[1]
local result = redis.call("GET", base .. ":result:" .. id)
local record = redis.call("HGET", jobs, id)
local state = "waiting"
if not record then
  state = result and "completed" or "missing"
elseif redis.call("ZSCORE", leases, id) then
  state = "active"
elseif redis.call("ZSCORE", delayed, id) then
  state = "delayed"
elseif redis.call("ZSCORE", dead, id) then
  state = "dead"
end
local attempts = tonumber(string.match(redis.call("HGET", active, id) or "", "^%d+") or 0)
return { state, record, attempts, redis.call("HGET", errors, id), redis.call("HGET", progress, id), result }
