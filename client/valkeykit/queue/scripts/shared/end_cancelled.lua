-- Ends a job that was cancelled.
local function end_cancelled(id)
  free_key(id)
  redis.call("ZREM", leases, id)
  delete_jobs({ id })
  count("cancelled", 1)
end
