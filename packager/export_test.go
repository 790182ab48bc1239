package packager

import (
	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/config"
	"laminate/packager/engine"
)

// SetPiece puts another content in the place of a ref's own.
func (j *Job) SetPiece(r flatten.Ref, p layer.Piece) { j.modules[r].Piece = p }

// Verify is the check at the end of Build.
func Verify(img *engine.Image, plan flatten.LayerPlan, refs []flatten.Ref) error {
	j := &Job{Plan: plan, Expansion: flatten.Expansion{Refs: refs}, options: Options{Config: config.Package{Kind: flatten.Buildpack}}}
	return j.verify(img.Image, img.Layers)
}
