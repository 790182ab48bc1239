package release

// LastVersion lets tests see which of the tags is the last release.
var LastVersion = lastVersion
