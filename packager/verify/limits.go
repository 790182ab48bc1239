package verify

import (
	"laminate/flatten"
	"laminate/packager/image"
)

// documentLimit is the largest manifest and the largest config that skopeo, podman and CRI-O read
// (containers/image, internal/iolimits: MaxManifestBodySize, MaxConfigBodySize), and the largest
// manifest that the registry of CNCF Distribution accepts.
const documentLimit = 4 << 20

// limits compares the image with what engines and platforms can use.
func (v *verifier) limits() {
	if v.ConfigBytes > documentLimit {
		v.broken(Size, "config has %d bytes; podman, CRI-O and skopeo read at most %d", v.ConfigBytes, documentLimit)
	}
	if v.stored() {
		if raw, err := v.img.RawManifest(); err == nil && len(raw) > documentLimit {
			v.broken(Size, "manifest has %d bytes; podman, CRI-O, skopeo and registries take at most %d", len(raw), documentLimit)
		}
	}
	budget := flatten.EngineLimit
	if v.img.Kind() == image.Builder {
		budget = flatten.Budget(v.builder != nil && !v.builder.System.Empty())
	}
	switch {
	case v.Layers > flatten.EngineLimit:
		v.broken(LayerCount, "%d layers; Docker loads at most %d", v.Layers, flatten.EngineLimit)
	case v.Layers > budget:
		v.broken(LayerCount, "%d layers; platforms add up to %d for a build, and Docker loads at most %d, so that a builder may have %d",
			v.Layers, flatten.EngineLimit-budget, flatten.EngineLimit, budget)
	}
}
