// Package collect collects the history of a builder from a registry: the version tags, and manifest
// and labels of each image. It reads no layers.
//
// A release's top-level refs are those in the builder's order, then its system buildpacks, then all
// others in the image that are not reached from these. The size of a buildpack is that of its own
// layer in the newest release in which it has one. If it shares its layer in all releases, it is a
// share of the layer in the newest: by length if laminate's label has the lengths, otherwise in
// equal parts.
//
// The result does not depend on how many runs collected it, unless tags are moved.
package collect
