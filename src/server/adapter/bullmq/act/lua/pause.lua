-- Pauses or resumes a queue. Up to version 5 that renames a list over another; what that one held would be lost.
local function jobs_in(list)
  local n = call("LLEN", list)
  if n <= 3 then
    for _, id in ipairs(call("LRANGE", list, 0, -1)) do
      if is_marker(id) then
        n = n - 1
      end
    end
  end
  return n
end

local function step(job)
  local letter, paused = layout(P, order.blocking)
  if not string.find(order.letters, letter, 1, true) then
    return {"family"}
  end
  local wants = order.word == "paused"
  local aside = call("LLEN", P .. "paused")
  if wants and paused then
    return {"already", "paused"}
  elseif not wants and not paused and not (order.merges and aside > 0) then
    return {"already", "running"}
  end
  local answer = prepared(job, "pause")
  if answer then
    return answer
  end
  if order.renames then
    local source, target = KEYS[1], KEYS[2]
    if call("EXISTS", source) == 1 and jobs_in(target) > 0 then
      return {"refused", wants and "pause_over" or "resume_over", tostring(jobs_in(target))}
    end
  end
  local result, broke = run("pause", job, {order.word, order.emit or "1"})
  if broke then
    return broke
  end
  return {"done", "", tostring(type(result) == "number" and result or 0)}
end
