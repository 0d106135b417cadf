-- Puts a job that is active and that no worker holds back among the waiting ones.
local function step(job)
  local answer = as_seen(job, {active = true}, {waiting = true, prioritized = true})
  answer = answer or prepared(job, "moveJobFromActiveToWait")
  if answer then
    return answer
  end
  local lock = call("GET", job.key .. ":lock")
  if lock then
    return {"locked", lock}
  end
  local result, broke = run("moveJobFromActiveToWait", job, {job.id, "0", job.key})
  if broke then
    return broke
  end
  local number = tonumber(result) or 0
  if call("LPOS", P .. "active", job.id) then
    return {"refused", "library", tostring(number)}
  end
  return {"done"}
end
