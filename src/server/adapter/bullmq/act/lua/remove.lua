-- Whether everything that a removal may touch beside the job is what the library takes it for. Gives an answer if not.
local removable
local function queue_fits()
  if not removable then
    local letters = {wait = "l", paused = "l", active = "l", delayed = "z", completed = "z", failed = "z", prioritized = "z",
      priority = "z", events = "x", ["waiting-children"] = "z", marker = "z", meta = "h", ["repeat"] = "z"}
    for suffix, letter in pairs(letters) do
      if not typed(P .. suffix, letter) then
        return {"refused", "type", P .. suffix}
      end
    end
    removable = true
  end
end

-- Removes a job, and what is below it if asked.
local function remove_one(job)
  local answer = as_seen(job, ANY)
  answer = answer or prepared(job, "removeJob") or queue_fits()
  if answer then
    return answer
  end
  if not typed(job.key .. ":lock", "s") then
    return {"refused", "type", job.key .. ":lock"}
  end
  local lock = call("GET", job.key .. ":lock")
  if lock then
    return {"locked", lock}
  end
  -- The job that a schedule goes on from. Without it the schedule would never run again.
  local due = string.match(job.id, "^repeat:.*:(%d+)$")
  if due and call("ZCOUNT", P .. "repeat", due, due) > 0
    and not (call("ZSCORE", P .. "completed", job.id) or call("ZSCORE", P .. "failed", job.id)) then
    return {"refused", "schedule"}
  end
  local seen = {n = 0, [job.key] = true}
  if order.children == "1" then
    answer = below(job.key, seen, 0)
  elseif order.always_children then
    answer = below(job.key, seen, 0)
    if not answer and seen.n > 0 then
      answer = {"refused", "always_children", tostring(seen.n)}
    end
  end
  answer = answer or parent_fits(job)
  if answer then
    return answer
  end
  local args = {job.id, order.children, P}
  if order.bull then
    args = {job.id, order.token}
  end
  local result, broke = run("removeJob", job, args)
  if broke then
    return broke
  elseif result == 1 then
    return {"done"}
  elseif result == -8 then
    return {"refused", "schedule"}
  end
  return {"locked", ""}
end
