package packager

import (
	"laminate/flatten"
	"laminate/flatten/layer"
)

// SetPiece puts another content in the place of a ref's own.
func (j *Job) SetPiece(r flatten.Ref, p layer.Piece) { j.modules[r].Piece = p }

// Verify is the check at the end of Build.
var Verify = verify
