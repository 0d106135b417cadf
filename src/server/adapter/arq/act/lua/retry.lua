-- Has a failed job run again, as long as its result is the one that was read and nothing else has its id.
--
-- KEYS: the queue; of the job: its payload, its claim, its tries, its result; the jobs to be aborted. ARGV: the job's id; now, in
-- milliseconds; the SHA-1 of the result; the payload; for how many milliseconds that is kept; the other queues. Answers with a
-- word.
local call = redis.call
local id = ARGV[1]
local result = call("GET", KEYS[5])
if not result then
  return {"gone"}
elseif redis.sha1hex(result) ~= ARGV[3] then
  return {"changed"}
elseif call("EXISTS", KEYS[2], KEYS[3]) > 0 or call("ZSCORE", KEYS[1], id) then
  return {"busy"}
end
for i = 6, #ARGV do
  local may = not redis.acl_check_cmd or redis.acl_check_cmd("ZSCORE", ARGV[i], id)
  if may and type(redis.pcall("ZSCORE", ARGV[i], id)) == "string" then
    return {"busy"}
  end
end
-- What is denied halfway would leave a part of it.
for _, command in ipairs({{"SET", KEYS[2], ""}, {"ZADD", KEYS[1], "1", id}, {"ZREM", KEYS[6], id}, {"DEL", KEYS[5]}}) do
  if redis.acl_check_cmd and not redis.acl_check_cmd(unpack(command)) then
    return {"lacks", string.lower(command[1]), command[2]}
  end
end
call("SET", KEYS[2], ARGV[4], "PX", ARGV[5])
call("ZADD", KEYS[1], ARGV[2], id)
-- An abort of the earlier run would end this one.
call("ZREM", KEYS[6], id)
call("DEL", KEYS[5], KEYS[4])
return {"done"}
