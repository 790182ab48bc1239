// Package engine is what all recipes share: it opens the sources of an image and
// takes their modules together, plans the layers, resolves where each of them
// comes from, makes them, puts the image together, and verifies it.
//
// [Run] is the state that all images of a run share, [Maker] what makes the
// layers of one image. Where a layer comes from is decided in resolve.go alone.
package engine
