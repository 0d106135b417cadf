-- Removes what is below a job and has not begun.

-- Everything that is pending below a job, at any depth, as far as it has a record.
local function pending(key, found)
  for _, child in ipairs(call("SMEMBERS", key .. ":dependencies")) do
    if not found[child] and call("EXISTS", child) == 1 then
      found[child] = true
      found[#found + 1] = child
      pending(child, found)
    end
  end
  return found
end

local function step(job)
  local answer = as_seen(job, ANY)
  answer = answer or prepared(job, "removeUnprocessedChildren")
  if answer then
    return answer
  end
  local waited_for = call("SCARD", job.key .. ":dependencies")
  if waited_for == 0 then
    return {"already", "no_children"}
  end
  answer = below(job.key, {n = 0, pass = true}, 0)
  if answer then
    return answer
  end
  local children = pending(job.key, {})
  local _, broke = run("removeUnprocessedChildren", job, {P, job.id})
  if broke then
    return broke
  end
  -- The library passes by those that a worker holds and those that failed.
  local left, running, failed = 0, 0, 0
  for _, child in ipairs(children) do
    if call("EXISTS", child) == 1 then
      local p, id = apart(child)
      left = left + 1
      if call("EXISTS", child .. ":lock") == 1 then
        running = running + 1
      elseif typed(p .. "failed", "z") and call("ZSCORE", p .. "failed", id) then
        failed = failed + 1
      end
    end
  end
  local removed = #children - left
  local still = call("SCARD", job.key .. ":dependencies")
  local said = {"children", tostring(removed), tostring(running), tostring(failed), tostring(left)}
  if removed == 0 and still == waited_for then
    return {"refused", unpack(said)}
  end
  return {"did", unpack(said)}
end
