-- SPDX-License-Identifier: GPL-2.0
-- ways.lua DIRECTORY: tries each way to run the code in it, and prints what came of it.
local place = ...
package.path = place .. "/?.lua"
package.cpath = place .. "/?.so"

local function data()
	local file = assert(io.open(place .. "/module.lua"))
	return assert(load(file:read("a")))()
end

for _, way in ipairs({
	{ "require", function() return require("module") end },
	{ "dofile", function() return dofile(place .. "/module.lua") end },
	{ "loadfile", function() return assert(loadfile(place .. "/module.lua"))() end },
	{ "require of a .so", function() return require("shared") end },
	{ "load of io.open", data },
	{ "load of a string", function() return load("return 'string'")() end },
}) do
	local fine, said = pcall(way[2])
	print(way[1] .. ": " .. (fine and said or "refused"))
end
