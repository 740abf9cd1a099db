-- The time in ms: always the server's, so that no client's clock matters.
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
