-- What is below a job.

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
      seen.there = (seen.there or 0) + call("EXISTS", child)
      if not seen.pass and call("EXISTS", child .. ":lock") == 1 then
        return {"locked", "", child}
      end
      local p = apart(child)
      if not p or call("EXISTS", p .. "id") == 0 then
        return {"refused", "child_id", child}
      end
      if layout_of(p) == "x" then
        return {"refused", "relative", child}
      end
      if not typed(child, "h") or not typed(p .. "meta", "h") or not plain_meta(p) then
        return {"refused", "type", child}
      end
      local answer = below(child, seen, depth + 1)
      if answer then
        return answer
      end
    end
  end
end

