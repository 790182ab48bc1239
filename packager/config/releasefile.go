package config

// releaseFile is the form of release.toml.
type releaseFile struct {
	VersionFile   string           `toml:"version-file"`
	Builders      []releaseBuilder `toml:"builders"`
	Buildpackages []releaseImage   `toml:"buildpackages"`
	Sign          releaseSign      `toml:"sign"`
}

// releaseImage is an entry of [[buildpackages]].
type releaseImage struct {
	Name           string     `toml:"name"`
	Config         string     `toml:"config"`
	Repositories   []string   `toml:"repositories"`
	Tags           []string   `toml:"tags"`
	Targets        []string   `toml:"targets"`
	Flatten        string     `toml:"flatten"`
	FlattenGroups  [][]string `toml:"flatten-groups"`
	FlattenExclude []string   `toml:"flatten-exclude"`
	MaxLayers      int        `toml:"max-layers"`
	MediaTypes     string     `toml:"media-types"`
}

// releaseBuilder is an entry of [[builders]].
type releaseBuilder struct {
	releaseImage
	SkipRunImages bool             `toml:"skip-run-image-check"`
	Variants      []releaseVariant `toml:"variants"`
	Smoke         []releaseSmoke   `toml:"smoke"`
}

type releaseVariant struct {
	Name        string   `toml:"name"`
	Config      string   `toml:"config"`
	Description string   `toml:"description"`
	Tags        []string `toml:"tags"`
}

type releaseSmoke struct {
	App        string        `toml:"app"`
	Variants   []string      `toml:"variants"`
	Buildpacks []string      `toml:"buildpacks"`
	RunImage   string        `toml:"run-image"`
	Env        []smokeEnvVar `toml:"env"`
	Network    string        `toml:"network"`
	Timeout    string        `toml:"timeout"`
}

type releaseSign struct {
	Command []string `toml:"command"`
	Key     string   `toml:"key"`
}
