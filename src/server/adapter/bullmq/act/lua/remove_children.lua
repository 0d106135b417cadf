-- Removes what is below a job and has not begun.
local function step(job)
  local answer = as_seen(job, ANY)
  answer = answer or prepared(job, "removeUnprocessedChildren")
  if answer then
    return answer
  end
  if call("SCARD", job.key .. ":dependencies") == 0 then
    return {"already", "no_children"}
  end
  -- Those that a worker holds stay: the library passes them by.
  answer = below(job.key, {n = 0, pass = true}, 0)
  if answer then
    return answer
  end
  local _, broke = run("removeUnprocessedChildren", job, {P, job.id})
  return broke or {"done"}
end
