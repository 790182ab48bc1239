// Package engine is the part of packaging that all recipes share. It opens the sources of an image,
// combines their modules, plans the layers, resolves where each layer comes from, builds the
// layers, assembles the image, and verifies it.
//
// [Run] is the state that all images of a run share; a [Maker] builds the layers of one image. Only
// resolve.go decides where a layer comes from.
package engine
