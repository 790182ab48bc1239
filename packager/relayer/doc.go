// Package relayer lays out the buildpacks of an existing buildpackage or builder anew, without its
// sources. It changes which buildpacks share a layer, the labels that say so, and nothing else: all
// other layers keep their digests, and the rest of the config its content.
//
// Like package packager it works in two steps: [Prepare] reads and checks metadata, and plans the
// layers; [Job.Build] reads the layers that change, and builds the new ones.
package relayer
