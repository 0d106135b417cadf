-- Removes messages out of a queue's lists, each exactly the bytes that were read of it.
--
-- KEYS: the hash of what workers hold, then the lists. ARGV, four for each message: its list (1 for the first), from which end it
-- is looked for (-1 from the next message on, 1 from the newest), its delivery tag, its bytes. Answers with a word for each:
-- "removed", "taken" by a worker, "gone", or what the server said. One that is refused leaves the others alone.
local answers = {}
for i = 1, #ARGV, 4 do
  local removed = redis.pcall("LREM", KEYS[ARGV[i] + 1], ARGV[i + 1], ARGV[i + 3])
  local answer = "gone"
  if type(removed) == "table" then
    answer = removed.err
  elseif removed > 0 then
    answer = "removed"
  elseif redis.pcall("HEXISTS", KEYS[1], ARGV[i + 2]) == 1 then
    answer = "taken"
  end
  answers[#answers + 1] = answer
end
return answers
