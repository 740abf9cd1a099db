#!lua flags=no-writes
-- shared: header
-- keys: jobs active leases dead errors traces progress delayed* | result
-- The state of one job.
-- ARGV: id
-- Returns state, record, attempts, error, traceback, progress, result.
local id = ARGV[1]
local value = redis.call("GET", result)
local record = redis.call("HGET", jobs, id)
local state = "waiting"
if not record then
  state = value and "completed" or "missing"
elseif redis.call("ZSCORE", leases, id) then
  state = "active"
elseif redis.call("ZSCORE", dead, id) then
  state = "dead"
elseif redis.call("ZSCORE", delayed((header(record))), id) then
  state = "delayed"
end
local attempts = tonumber(string.match(redis.call("HGET", active, id) or "", "^%d+") or 0)
return {
  state, record, attempts, redis.call("HGET", errors, id), redis.call("HGET", traces, id),
  redis.call("HGET", progress, id), value,
}
