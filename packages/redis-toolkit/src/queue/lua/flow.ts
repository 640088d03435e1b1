import { ADD_ONE, scriptOf } from "./prelude.ts";

/**
 * Adds a job that waits for others, and these, in one step. ARGV: as of `ADD`; the first job is the parent. Returns the
 * id and the status of each; the parent alone where it is a duplicate. All get the number of their flow, since another
 * parent may have the same id later.
 */
export const ADD_FLOW: string = scriptOf(`${ADD_ONE}
local name, answered, list = ARGV[2], tonumber(ARGV[3]), {}
local known = call('HGET', added, name)
if known then
  for id, status in string.gmatch(known, ' (%S+) (%d)') do
    list[#list + 1], list[#list + 2] = id, tonumber(status)
  end
  return list
end
local first, flow = 4 + answered, '{"flow":' .. whole(draw()) .. ','
ARGV[first] = flow .. string.sub(ARGV[first], 2)
local parent, isNew = add(first)
list[1], list[2] = parent, isNew
if isNew == 1 then
  call('ZREM', waiting, parent)
  call('ZADD', delayed, whole(awaitedAt), parent)
  for i = first + 8, #ARGV, 8 do
    ARGV[i] = flow .. '"parent":"' .. parent .. '",' .. string.sub(ARGV[i], 2)
    list[#list + 1], list[#list + 2] = add(i)
  end
end
call('HSET', added, name, whole(now) .. ' ' .. table.concat(list, ' '))
if answered > 0 then call('HDEL', added, unpack(ARGV, 4, 3 + answered)) end
return list`);

/** ARGV: channel, id. Returns 1 and the outcomes of its children so far, or 0 where there is no such job. */
export const CHILDREN: string = scriptOf(`local id = ARGV[2]
return {call('HEXISTS', jobs, id), call('HGET', data, id .. '/children')}`);
