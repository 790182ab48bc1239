package builder

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/engine"
)

// Outlook is the effect of a builder on users who have the previous image.
type Outlook struct {
	// Outlook covers the layers of buildpacks.
	engine.Outlook
	// Extensions is about the layers of extensions, as if nothing lay below.
	Extensions engine.Outlook
	// Besides names the other layers that the previous image lacks; it is empty without one.
	Besides []string
}

// Outlook returns the effect of the builder on users with the previous image, without building it.
func (j *Job) Outlook(ctx context.Context) (Outlook, error) {
	var o Outlook
	below, err := j.lowest(ctx)
	if err != nil {
		return o, err
	}
	resolved, err := j.resolve(ctx, flatten.Buildpack)
	if err != nil {
		return o, err
	}
	if o.Outlook, err = j.maker.Outlook(ctx, j.modules[flatten.Buildpack], resolved, below); err != nil {
		return o, err
	}
	if resolved, err = j.resolve(ctx, flatten.Extension); err != nil {
		return o, err
	}
	if o.Extensions, err = j.maker.Outlook(ctx, j.modules[flatten.Extension], resolved, nil); err != nil || o.Previous == "" {
		return o, err
	}
	theirs, ours := below[:j.base.layers], below[j.base.layers:]
	fresh := 0
	for _, d := range theirs {
		if !j.maker.Inherits(d, false) {
			fresh++
		}
	}
	if fresh > 0 {
		o.Besides = append(o.Besides, fmt.Sprintf("build image (%d of %d)", fresh, len(theirs)))
	}
	for i, name := range []string{"lifecycle", "whiteouts"}[:len(ours)] {
		if !j.maker.Inherits(ours[i], true) {
			o.Besides = append(o.Besides, name)
		}
	}
	for i, e := range o.Extensions.Layers {
		if o.Extensions.IsNew(i) {
			o.Besides = append(o.Besides, engine.Title(e.Plan))
		}
	}
	configured, err := layer.DiffIDOf(ctx, j.writeConfiguration)
	if err == nil && !j.maker.Inherits(configured, true) {
		o.Besides = append(o.Besides, "configuration")
	}
	return o, err
}

// lowest returns the diffIDs of the layers below the buildpacks: build image, lifecycle, and
// whiteouts, if any.
func (j *Job) lowest(ctx context.Context) ([]v1.Hash, error) {
	below := append([]v1.Hash{}, j.base.Config.RootFS.DiffIDs...)
	below = append(below, j.lifecycle.diffID)
	if len(j.whiteouts) == 0 {
		return below, nil
	}
	hidden, err := layer.DiffIDOf(ctx, j.writeWhiteouts)
	return append(below, hidden), err
}
