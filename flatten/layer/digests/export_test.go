package digests

// HasBlocks reports whether there are instructions for blocks.
func HasBlocks() bool { return hasBlocks }

// Shared is what Write does with the whole blocks of what is long enough.
var Shared = shared
