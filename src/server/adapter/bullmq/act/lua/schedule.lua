-- Removes or plans a schedule.
local function remove()
  if not call("ZSCORE", P .. "repeat", order.key) then
    return {"gone"}
  end
  local name = lib.removeJobScheduler and "removeJobScheduler" or "removeRepeatable"
  local answer = prepared({id = "", key = P}, name)
  if answer then
    return answer
  end
  local _, broke = run(name, {id = "", key = P}, order.args)
  if broke then
    return broke
  end
  return call("ZSCORE", P .. "repeat", order.key) and {"refused", "schedule_stays"} or {"done"}
end

local function upsert()
  local answer = prepared({id = "", key = P}, "addJobScheduler")
  if answer then
    return answer
  end
  local definition = P .. "repeat:" .. order.key
  if not typed(definition, "h") then
    return {"refused", "type", definition}
  end
  for _, was in ipairs(order.kept) do
    if (call("HGET", definition, was[1]) or "") ~= was[2] then
      return {"changed", "edited"}
    end
  end
  local score = call("ZSCORE", P .. "repeat", order.key)
  local id = score and "repeat:" .. order.key .. ":" .. score
  local _, paused = layout(P, order.blocking)
  if id and paused and call("EXISTS", P .. id) == 1 and not call("ZSCORE", P .. "delayed", id)
    and not call("ZSCORE", P .. "prioritized", id) and not call("LPOS", P .. "paused", id) then
    return {"refused", "paused_iteration"}
  end
  local result, broke = run("addJobScheduler", {id = "", key = P}, order.args)
  if broke then
    return broke
  elseif type(result) ~= "table" then
    return {"refused", "library", tostring(result), "repeat:" .. order.key .. ":" .. order.args[1]}
  end
  return {"done", tostring(result[1])}
end

local function step()
  if not as_chosen() then
    return {"family"}
  end
  for suffix, letter in pairs({["repeat"] = "z", delayed = "z"}) do
    if not typed(P .. suffix, letter) then
      return {"refused", "type", P .. suffix}
    end
  end
  if order.plan then
    return upsert()
  end
  return remove()
end
