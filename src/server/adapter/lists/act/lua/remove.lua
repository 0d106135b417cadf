-- Removes an item out of a list: exactly the bytes that were read of it, once.
--
-- KEYS: the list. ARGV: from which end it is looked for (1 from the head, -1 from the tail), and its bytes.
if redis.call("LREM", KEYS[1], ARGV[1], ARGV[2]) == 1 then
  return {"done"}
end
return {"gone"}
