-- Has workers discard a task, as long as its message is where it was seen.
--
-- KEYS: the list, or the hash of what workers hold. ARGV: the bytes in the list, or the empty string; the delivery tag; the SHA-1 of
-- what is held under it; the channel on which workers listen for remote control; the message for them. Answers with a word, and how
-- many got it.
if ARGV[1] ~= "" then
  if not redis.call("LPOS", KEYS[1], ARGV[1], "RANK", "-1") then
    return {"gone"}
  end
else
  local held = redis.call("HGET", KEYS[1], ARGV[2])
  if not held or redis.sha1hex(held) ~= ARGV[3] then
    return {"gone"}
  end
end
if redis.acl_check_cmd and not redis.acl_check_cmd("PUBLISH", ARGV[4], "") then
  return {"lacks", "publish", ARGV[4]}
end
return {"told", tostring(redis.call("PUBLISH", ARGV[4], ARGV[5]))}
