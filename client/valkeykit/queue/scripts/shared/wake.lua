-- One element is enough: a worker that wakes and leaves jobs behind puts it back.
local function wake()
  if redis.call("LLEN", wakeups) == 0 then
    redis.call("RPUSH", wakeups, "1")
  end
end
