-- Changes a job that is in its queue, as long as it is there as it was seen and no worker has claimed it.
--
-- KEYS: the queue; of the job: its payload, its claim, its tries, its result; the jobs to be aborted. ARGV: "remove", "promote" or
-- "abort"; the job's id; now, in milliseconds; the state in which it was seen and how many tries had begun then, each empty if it was
-- not seen; the other queues. Answers with a word, and more where there is more to say.
local call = redis.call
local word, id, now = ARGV[1], ARGV[2], ARGV[3]
local due = tonumber(call("ZSCORE", KEYS[1], id) or "")
if not due then
  return {"gone"}
end
if call("EXISTS", KEYS[3]) == 1 then
  return {"claimed"}
end
local state, begun = due > tonumber(now) and "delayed" or "waiting", call("GET", KEYS[4]) or "0"
if word == "promote" and state == "waiting" then
  return {"due"}
end
if (ARGV[4] ~= "" and ARGV[4] ~= state) or (ARGV[5] ~= "" and ARGV[5] ~= begun) then
  return {"changed", state, begun}
end
if word == "promote" then
  if call("EXISTS", KEYS[2]) == 0 then
    return {"expired"}
  end
  call("ZADD", KEYS[1], "XX", now, id)
elseif word == "abort" then
  call("ZADD", KEYS[6], now, id)
else
  -- A payload belongs to an id, and to all queues that hold it.
  for i = 6, #ARGV do
    local may = not redis.acl_check_cmd or redis.acl_check_cmd("ZSCORE", ARGV[i], id)
    if may and type(redis.pcall("ZSCORE", ARGV[i], id)) == "string" then
      return {"elsewhere", ARGV[i]}
    end
  end
  -- What is denied halfway would leave a part of it.
  for _, command in ipairs({{"ZREM", KEYS[1], id}, {"SET", KEYS[3], "1"}, {"DEL", KEYS[2]}}) do
    if redis.acl_check_cmd and not redis.acl_check_cmd(unpack(command)) then
      return {"lacks", string.lower(command[1]), command[2]}
    end
  end
  -- First what a server without memory permits.
  call("ZREM", KEYS[1], id)
  -- A worker that is about to claim the job watches this key, and gives way if it is touched.
  call("SET", KEYS[3], "1", "PX", "1000")
  call("DEL", KEYS[2], KEYS[3], KEYS[4])
  call("ZREM", KEYS[6], id)
end
return {"done"}
