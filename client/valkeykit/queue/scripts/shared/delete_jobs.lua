-- All that is kept of jobs, but for the lists that they may be in.
local function delete_jobs(ids)
  redis.call("HDEL", active, unpack(ids))
  redis.call("HDEL", jobs, unpack(ids))
  if redis.call("EXISTS", errors, traces, progress, cancelled, losses, started) > 0 then
    for _, key in ipairs({ errors, traces, progress, cancelled, losses, started }) do
      redis.call("HDEL", key, unpack(ids))
    end
  end
end
