package flatten

const (
	// EngineLimit is the most layers that Docker's engine loads.
	EngineLimit = 125
	// buildLayers is how many layers a platform adds to a builder for one build: 4 for directories,
	// stack, run image and environment, 1 for a changed order, 1 for an added buildpack.
	// systemLayer is 1 more, to rewrite system.toml.
	buildLayers, systemLayer = 6, 1
)

// Budget returns the most layers that a builder may have so that platforms can still build with it.
func Budget(withSystemBuildpacks bool) int {
	if withSystemBuildpacks {
		return EngineLimit - buildLayers - systemLayer
	}
	return EngineLimit - buildLayers
}
