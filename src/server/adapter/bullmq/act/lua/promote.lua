-- Has a delayed job run now.
local function promote_one(job)
  local answer = as_seen(job, {delayed = true}, {waiting = true, prioritized = true, active = true})
  answer = answer or prepared(job, "promote")
  if answer then
    return answer
  end
  local result, broke = run("promote", job, {P, job.id, order.token})
  if broke then
    return broke
  end
  return result == 0 and {"done"} or {"refused", "library", tostring(result)}
end
