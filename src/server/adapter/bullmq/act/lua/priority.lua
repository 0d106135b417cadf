-- Gives a job that has not begun another priority.
local function step(job)
  local answer, state = as_seen(job, {waiting = true, prioritized = true, delayed = true, ["waiting-children"] = true})
  answer = answer or prepared(job, "changePriority")
  if answer then
    return answer
  end
  local before = tonumber(call("HGET", job.key, "priority") or "0") or 0
  if before == tonumber(order.priority) and order.lifo == "0" then
    return {"already", "same"}
  end
  if state == "waiting" then
    -- The library looks into one list only, and elsewhere changes nothing but the record.
    local aside = order.looked_paused
    local list = P .. (aside and "paused" or "wait")
    if not listed(list, job.id) then
      return {"refused", "other_list"}
    end
  end
  local about = order.by_key and job.key or P
  local result, broke = run("changePriority", job, {order.priority, about, job.id, order.lifo})
  if broke then
    return broke
  end
  return result == 0 and {"done"} or {"refused", "library", tostring(result)}
end
