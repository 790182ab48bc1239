// Package builder makes builders: images that hold a lifecycle, buildpacks,
// and the files that say how they are used, on top of a build image (platform
// spec, "Builder").
//
// Like package packager it works in two steps: [Prepare] reads metadata,
// checks all of it and counts the layers; [Job.Build] reads content and builds
// what does not exist yet.
package builder
