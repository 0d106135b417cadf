-- A batch of the removal of a whole paused queue, by the library's own script, and what it leaves.
local FEW = 200

local function size()
  local n = 0
  for _, list in ipairs({"wait", "paused", "active"}) do
    n = n + call("LLEN", P .. list)
  end
  for _, set in ipairs({"completed", "failed", "delayed", "prioritized", "waiting-children"}) do
    n = n + call("ZCARD", P .. set)
  end
  return n
end

-- How many of these parents wait for a child of another queue, in a generation that would remove that child with them.
local function entangled(parents)
  local n = 0
  for _, id in ipairs(order.always_children and parents or {}) do
    local dependencies = P .. id .. ":dependencies"
    for _, child in ipairs(typed(dependencies, "e") and call("SMEMBERS", dependencies) or {}) do
      if apart(child) ~= P then
        n = n + 1
        break
      end
    end
  end
  return n
end

local function step()
  if not as_chosen() then
    return {"family"}
  end
  local _, paused = layout(P, order.blocking)
  if not paused then
    return {"refused", "not_paused"}
  end
  if order.force ~= "force" and call("LLEN", P .. "active") > 0 then
    return {"refused", "active"}
  end
  local answer = prepared({id = "", key = P}, "obliterate", "removeJob") or queue_fits()
  if answer then
    return answer
  end
  local before = size()
  -- The library leaves parents that wait for children behind.
  local parents = call("ZRANGE", P .. "waiting-children", 0, FEW - 1)
  local held = entangled(parents)
  if held > 0 then
    return {"refused", "obliterate_parents", tostring(held)}
  end
  local done = 0
  for _, id in ipairs(parents) do
    answer = remove_one({id = id, key = P .. id, state = "waiting-children"})
    if answer[1] == "broke" then
      return answer
    elseif answer[1] == "done" then
      done = done + 1
    end
  end
  if done > 0 then
    return {"batch", tostring(before - size()), "1"}
  end
  local result, broke = run("obliterate", {id = "", key = P}, {tostring(order.limit), order.force})
  if broke then
    return broke
  elseif result == 0 then
    call("DEL", P .. "limiter")
  end
  local left = size()
  return {"batch", tostring(before - left), result == 1 and "1" or "0", tostring(left)}
end
