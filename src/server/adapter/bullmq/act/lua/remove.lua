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

-- Whether a schedule goes on from this job: the one that the job itself names, not another that is due in the same
-- millisecond. BullMQ writes its key into the record, Bull into the options. A record that names none is compared with all.
local function schedule_goes_on(job)
  local due = string.match(job.id, "^repeat:.*:(%d+)$")
  if not due or call("ZSCORE", P .. "completed", job.id) or call("ZSCORE", P .. "failed", job.id) then
    return false
  end
  local own = call("HGET", job.key, "rjk")
  if not own then
    local fine, opts = pcall(cjson.decode, job.record.opts or "")
    local plan = fine and type(opts) == "table" and opts["repeat"]
    own = type(plan) == "table" and type(plan.key) == "string" and plan.key
  end
  if own then
    return tonumber(call("ZSCORE", P .. "repeat", own) or "") == tonumber(due)
  end
  return call("ZCOUNT", P .. "repeat", due, due) > 0
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
  -- Without it the schedule would never run again.
  if schedule_goes_on(job) then
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
    return (seen.there or 0) > 0 and {"did", "below", tostring(seen.there)} or {"done"}
  elseif result == -8 then
    return {"refused", "schedule"}
  end
  return {"locked", ""}
end
