-- Lets a parent run without the children that can never finish: those that failed and those that are gone.

-- What releases a parent is in its own queue, and nothing of the library looks at the types of it first.
local function parent_is_typed(job)
  if apart(job.key) ~= P then
    return {"refused", "own_id", job.id}
  end
  for suffix, letter in pairs({wait = "l", paused = "l", active = "l", marker = "z", events = "x", ["waiting-children"] = "z"}) do
    if not typed(P .. suffix, letter) then
      return {"refused", "type", P .. suffix}
    end
  end
  if not typed(job.key .. ":dependencies", "e") then
    return {"refused", "type", job.key .. ":dependencies"}
  end
end

local function step(job)
  local answer = as_seen(job, {["waiting-children"] = true}, {waiting = true, prioritized = true})
  answer = answer or prepared(job, "removeChildDependency", "removeUnprocessedChildren") or parent_is_typed(job)
  if answer then
    return answer
  end
  local pending = job.key .. ":dependencies"
  local number = call("SCARD", pending)
  if number > order.most then
    return {"refused", "many_children", tostring(number)}
  end
  local failed, gone, others = {}, 0, 0
  for _, child in ipairs(call("SMEMBERS", pending)) do
    local p, id = apart(child)
    if p and typed(p .. "failed", "z") and call("ZSCORE", p .. "failed", id) and typed(child, "h") then
      failed[#failed + 1] = child
    elseif p and call("EXISTS", child) == 0 and call("EXISTS", p .. "id") == 1 then
      gone = gone + 1
    else
      others = others + 1
    end
  end
  if #failed == 0 and gone == 0 and number > 0 then
    return {"refused", "children_fine"}
  elseif gone > 0 and others > 0 then
    -- The library lets go of a child that is gone together with all that have not begun.
    return {"refused", "child_gone", tostring(others)}
  end
  for _, child in ipairs(failed) do
    local result, broke = run("removeChildDependency", job, {child, job.key})
    if result ~= 0 then
      return broke or {"broke", "the library did not take the child away: " .. tostring(result)}
    end
  end
  if gone > 0 then
    local _, broke = run("removeUnprocessedChildren", job, {P, job.id})
    if broke then
      return broke
    end
  end
  return {"done"}
end
