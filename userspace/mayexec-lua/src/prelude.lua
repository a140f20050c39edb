-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Lua's own ways of loading code from files, with read(), which opens by the library.
local read, load = ..., load

function loadfile(name, ...)
	local text, message = read(name)
	if not text then
		return nil, message
	end
	text = text:gsub("^\xEF\xBB\xBF", "")
	-- The line of #! stays, empty, for the numbers of the others.
	return load(text:gsub("^#[^\n]*", "", 1), name and "@" .. name or "=stdin", ...)
end

function dofile(name)
	return assert(loadfile(name))()
end

package.searchers[2] = function(module)
	local name, missing = package.searchpath(module, package.path)
	if not name then
		return missing
	end
	return assert(loadfile(name)), name
end
