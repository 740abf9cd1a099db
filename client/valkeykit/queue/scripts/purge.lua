#!lua flags=allow-oom
-- shared: clock count header delete_jobs free_key call_replies
-- keys: jobs active suspect dead errors traces progress cancelled losses started unique unique_ends stats minutes delayed* waiting* | answers
-- Deletes jobs that wait, are delayed or are dead, as many as the server can in a short time.
-- ARGV: call number, waiting, delayed or dead
-- Returns how many; 0 where none is left.
local call, state = ARGV[1], ARGV[2]
local first = recall(call)
if first then
  return first
end
local ids = {}
local function pop(key, number)
  local type = redis.call("TYPE", key).ok
  if type == "list" then
    for _, id in ipairs(redis.call("LPOP", key, number) or {}) do
      ids[#ids + 1] = id
    end
  elseif type == "zset" then
    local popped = redis.call("ZPOPMIN", key, number)
    for i = 1, #popped, 2 do
      ids[#ids + 1] = popped[i]
    end
  end
end

local sources = { dead }
if state == "waiting" or state == "delayed" then
  local line = state == "waiting" and waiting or delayed
  sources = state == "waiting" and { suspect } or {}
  for priority = 0, 9 do
    sources[#sources + 1] = line(priority)
  end
end
for _, key in ipairs(sources) do
  if #ids < 500 then
    pop(key, 500 - #ids)
  end
end
if #ids > 0 then
  for _, id in ipairs(ids) do
    free_key(id)
  end
  delete_jobs(ids)
  count("cancelled", #ids)
end
return remember(call, #ids)
