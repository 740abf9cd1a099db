local function forget(ids)
  for _, key in ipairs({ active, jobs, errors, progress, cancelled }) do
    redis.call("HDEL", key, unpack(ids))
  end
end
