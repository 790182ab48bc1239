// Package builder creates builders: images with a lifecycle, buildpacks and their configuration, on
// top of a build image (platform spec, "Builder").
//
// Like package packager it works in two steps: [Prepare] reads and checks metadata, and plans the
// layers; [Job.Build] reads content and builds the layers that do not exist yet.
package builder
