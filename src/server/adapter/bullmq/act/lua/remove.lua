-- Removes a job, and what is below it if asked.

-- Counts what is below a job, to a bound. Gives an answer if the library could not remove it in one step.
local function below(key, seen, depth)
  local sizes = 0
  for suffix, letter in pairs({[":dependencies"] = "e", [":processed"] = "h", [":failed"] = "h", [":unsuccessful"] = "z"}) do
    if not typed(key .. suffix, letter) then
      return {"refused", "type", key .. suffix}
    end
  end
  sizes = call("SCARD", key .. ":dependencies") + call("HLEN", key .. ":processed")
    + call("HLEN", key .. ":failed") + call("ZCARD", key .. ":unsuccessful")
  seen.n = seen.n + sizes
  if seen.n > order.most or depth > 50 then
    return {"refused", "children", tostring(seen.n)}
  end
  if sizes == 0 then
    return nil
  end
  local children = {call("SMEMBERS", key .. ":dependencies"), call("HKEYS", key .. ":processed"),
    call("HKEYS", key .. ":failed"), call("ZRANGE", key .. ":unsuccessful", 0, -1)}
  for _, some in ipairs(children) do
    for _, child in ipairs(some) do
      if seen[child] then
        return {"refused", "children_twice", child}
      end
      seen[child] = true
      if call("EXISTS", child .. ":lock") == 1 then
        return {"locked", "", child}
      end
      local p = apart(child)
      if not p or call("EXISTS", p .. "id") == 0 then
        return {"refused", "child_id", child}
      end
      if not typed(child, "h") or not plain_meta(p) then
        return {"refused", "type", child}
      end
      local answer = below(child, seen, depth + 1)
      if answer then
        return answer
      end
    end
  end
end

local EVERY = {waiting = true, prioritized = true, delayed = true, ["waiting-children"] = true, completed = true, failed = true, active = true, nowhere = true}

local function step(job)
  local answer = as_seen(job, EVERY)
  answer = answer or prepared(job, "removeJob")
  if answer then
    return answer
  end
  local letters = {wait = "l", paused = "l", active = "l", delayed = "z", completed = "z", failed = "z", prioritized = "z",
    priority = "z", events = "x", ["waiting-children"] = "z", marker = "z", meta = "h", ["repeat"] = "z"}
  for suffix, letter in pairs(letters) do
    if not typed(P .. suffix, letter) then
      return {"refused", "type", P .. suffix}
    end
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
