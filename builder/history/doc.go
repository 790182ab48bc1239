// Package history reads and writes history files: the buildpacks of each release of a builder, and
// their sizes. They are collected from registries, and layer plans are simulated on them.
//
// A history file is one JSON object, gzipped or not:
//
//	builder     the repository's name
//	notes       where the facts come from; anything, kept as it is; may be left out
//	sizes       compressed bytes by "id", or by "id@version" where one version was measured
//	composites  the refs that each composite names, in order, without repeats
//	releases    oldest first, in the order in which they replace each other
//
// A ref without an entry in composites is a component. Each release has
//
//	version      unlike all others
//	date         RFC 3339; may be left out: reproducible images have none
//	lifecycle    its version; may be left out
//	build_image  a reference; may be left out
//	buildpacks   the top-level refs, in the builder's order
//	layers       the image's layers as a registry shows them, lowest first, each
//	             with digest, size (compressed bytes) and, where it holds
//	             buildpacks, refs; may be left out
//
// Every ref that a release's buildpacks lead to must have a size. Where a
// release has layers, each of these refs is in just one of them.
package history
