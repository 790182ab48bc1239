// Package release publishes builders and buildpackages under one version, only if all of them are
// right.
//
// [Prepare] creates every image once, in the work directory, and compares its digest with what the
// tags point to now. [Release.Publish] pushes the images by digest to the first repository of each,
// verifies what arrived there, builds apps with it, attaches documents, copies those digests to the
// other repositories, and moves the tags last: version tags first, then the others. What fails has
// no tag.
//
// The registries are the only state. A run that is repeated after it was killed at any point creates
// the same digests, skips what is done, and finishes the rest.
package release
