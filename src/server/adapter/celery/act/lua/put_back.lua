-- Puts a message that a lost worker held back into its queue, where it runs next: what kombu does when the visibility timeout ends.
--
-- KEYS: the hash of what workers hold, its index by time, then the queue's lists, those that run first in front. ARGV: the delivery
-- tag; the SHA-1 of what was read of it; when it was taken, in milliseconds; the message as it is put back; its priority; the channel
-- on which workers listen for remote control; a message for no worker. Answers with a word, and more where there is more to say.
local call = redis.call
local held = call("HGET", KEYS[1], ARGV[1])
if not held then
  return {"gone"}
end
local taken = tonumber(call("ZSCORE", KEYS[2], ARGV[1]) or "")
if redis.sha1hex(held) ~= ARGV[2] or not taken or string.format("%.0f", math.floor(taken * 1000)) ~= ARGV[3] then
  return {"changed"}
end
-- A step that is in use; the first is read whatever the steps are.
local list = KEYS[3]
for step = tonumber(ARGV[5]), 1, -1 do
  if call("EXISTS", KEYS[3 + step]) == 1 then
    list = KEYS[3 + step]
    break
  end
end
-- What is denied halfway would leave it in both places.
for _, command in ipairs({{"RPUSH", list, ""}, {"HDEL", KEYS[1], ""}, {"ZREM", KEYS[2], ""}, {"PUBLISH", ARGV[6], ""}}) do
  if redis.acl_check_cmd and not redis.acl_check_cmd(unpack(command)) then
    return {"lacks", string.lower(command[1]), command[2]}
  end
end
-- Only this tells how many listen: workers subscribe by patterns, which are not listed.
if call("PUBLISH", ARGV[6], ARGV[7]) > 0 then
  return {"listened"}
end
call("RPUSH", list, ARGV[4])
call("HDEL", KEYS[1], ARGV[1])
call("ZREM", KEYS[2], ARGV[1])
return {"done"}
