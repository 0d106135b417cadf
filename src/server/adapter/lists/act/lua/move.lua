-- Moves an item from a list to an end of another: exactly the bytes that were read of it, once.
--
-- KEYS: the list, the other one, and the key that shows that a worker holds it, if there is such a key. ARGV: from which end it is
-- looked for (1 from the head, -1 from the tail), its bytes, and the command that adds it. Answers with a word, and more where there is
-- more to say.
local call = redis.call
if KEYS[3] and call("EXISTS", KEYS[3]) == 1 then
  return {"held"}
end
local kind = call("TYPE", KEYS[2]).ok
if kind ~= "none" and kind ~= "list" then
  return {"type", KEYS[2]}
end
-- What is denied halfway would leave it in both lists.
for _, command in ipairs({{ARGV[3], KEYS[2], ""}, {"LREM", KEYS[1], "1", ""}}) do
  if redis.acl_check_cmd and not redis.acl_check_cmd(unpack(command)) then
    return {"lacks", string.lower(command[1]), command[2]}
  end
end
if not call("LPOS", KEYS[1], ARGV[2], "RANK", ARGV[1]) then
  return {"gone"}
end
if ARGV[3] == "LPUSH" then
  call("LPUSH", KEYS[2], ARGV[2])
else
  call("RPUSH", KEYS[2], ARGV[2])
end
call("LREM", KEYS[1], ARGV[1], ARGV[2])
return {"done"}
