-- One element is enough: whoever wakes and leaves jobs behind puts it back.
local function wake()
  if redis.call("LLEN", base .. ":wake") == 0 then
    redis.call("RPUSH", base .. ":wake", "1")
  end
end
