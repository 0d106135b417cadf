-- Removes a finished job if it is exactly what was read of it, and no parent waits for it.
local FINISHED = {completed = true, failed = true}

local function step(job)
  local answer = as_seen(job, FINISHED)
  if answer then
    return answer
  end
  if not same(job) then
    return {"changed", job.state, "bytes"}
  end
  local parent = job.record.parent
  if parent and parent ~= "" and typed(parent .. ":dependencies", "e")
    and call("SISMEMBER", parent .. ":dependencies", job.key) == 1 then
    return {"refused", "holds_parent", parent}
  end
  return remove_one(job)
end
