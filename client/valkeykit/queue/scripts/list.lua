#!lua flags=no-writes
-- shared: header
-- keys: jobs active leases suspect dead errors traces progress delayed* waiting*
-- Jobs in one state. Dead letters come latest first, the others in their order.
-- ARGV: waiting, delayed, active or dead; how many to pass over; how many at most; bytes at most
-- Returns the bytes' bound reached or not (1 or 0), then id, record, attempts, error, traceback, progress, when (ms) for each.
local state, skip, number, bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local ids, times = {}, {}

local function collect(key, command, ...)
  local wanted = number - #ids
  local length = redis.call(command == "LRANGE" and "LLEN" or "ZCARD", key)
  if skip >= length then
    skip = skip - length
    return
  end
  local page = redis.call(command, key, skip, skip + wanted - 1, ...)
  skip = 0
  if command == "LRANGE" then
    for _, id in ipairs(page) do
      ids[#ids + 1] = id
    end
  else
    for i = 1, #page, 2 do
      ids[#ids + 1] = page[i]
      times[page[i]] = tonumber(page[i + 1])
    end
  end
end

local sources = {}
if state == "waiting" then
  sources[1] = { suspect, "LRANGE" }
  for priority = 9, 0, -1 do
    sources[#sources + 1] = { waiting(priority), "LRANGE" }
  end
elseif state == "delayed" then
  for priority = 9, 0, -1 do
    sources[#sources + 1] = { delayed(priority), "ZRANGE", "WITHSCORES" }
  end
elseif state == "active" then
  sources[1] = { leases, "ZRANGE", "WITHSCORES" }
else
  sources[1] = { dead, "ZRANGE", "REV", "WITHSCORES" }
end
for _, source in ipairs(sources) do
  if #ids < number then
    collect(unpack(source))
  end
end

-- What is short comes at once; records and progress one by one, up to the bound.
local function of_all(key)
  return #ids > 0 and redis.call("HMGET", key, unpack(ids)) or {}
end
local reply, size = { 0 }, 0
local states, reasons, tracebacks = of_all(active), of_all(errors), of_all(traces)
local any_progress = redis.call("EXISTS", progress) == 1
for i, id in ipairs(ids) do
  local about = {
    id, redis.call("HGET", jobs, id) or "", tonumber(string.match(states[i] or "", "^%d+") or 0), reasons[i] or "",
    tracebacks[i] or "", any_progress and redis.call("HGET", progress, id) or "", times[id] or 0,
  }
  size = size + #about[2] + #about[4] + #about[5] + #about[6]
  if size > bytes and i > 1 then
    reply[1] = 1
    break
  end
  for _, value in ipairs(about) do
    reply[#reply + 1] = value
  end
end
return reply
