-- Ends a job that was cancelled.
local function discard(id)
  free_key(id)
  redis.call("ZREM", leases, id)
  forget({ id })
  count("cancelled", 1)
end
