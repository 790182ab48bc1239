package flatten

import (
	"encoding/json"
	"fmt"
)

// The labels of app images (platform spec, "App Image").
const (
	// AppLayersLabel holds an [AppLayers], and BuildMetadataLabel a [BuildMetadata].
	AppLayersLabel     = "io.buildpacks.lifecycle.metadata"
	BuildMetadataLabel = "io.buildpacks.build.metadata"
)

// AppLayers is the value of [AppLayersLabel]: what each layer of an app image holds, by diffID.
type AppLayers struct {
	App          []LayerSHA           `json:"app"`
	SBOM         *LayerSHA            `json:"sbom,omitempty"`
	Buildpacks   []AppBuildpackLayers `json:"buildpacks"`
	Config       LayerSHA             `json:"config"`
	Launcher     LayerSHA             `json:"launcher"`
	ProcessTypes LayerSHA             `json:"process-types"`
	RunImage     AppRunImage          `json:"runImage"`
	// Stack has the name of the run image where RunImage lacks it, in older images.
	Stack struct {
		RunImage RunImage `json:"runImage"`
	} `json:"stack"`
}

// LayerSHA names a layer by its diffID.
type LayerSHA struct {
	SHA string `json:"sha"`
}

// AppBuildpackLayers are the layers of one buildpack, by name. Those without a diffID are not in
// the image.
type AppBuildpackLayers struct {
	ID      string              `json:"key"`
	Version string              `json:"version"`
	Layers  map[string]LayerSHA `json:"layers"`
}

// AppRunImage is the run image that an app image is based on.
type AppRunImage struct {
	// TopLayer is the diffID of its topmost layer.
	TopLayer string `json:"topLayer"`
	// Reference is a reference with a digest, or an image ID.
	Reference string `json:"reference"`
	RunImage
}

// BuildMetadata is the value of [BuildMetadataLabel].
type BuildMetadata struct {
	Buildpacks []BuildElement `json:"buildpacks"`
	Extensions []BuildElement `json:"extensions"`
	Launcher   struct {
		Version string `json:"version"`
	} `json:"launcher"`
	Processes []Process `json:"processes"`
	// DefaultProcess is the type of the process that starts by default.
	DefaultProcess string `json:"buildpack-default-process-type"`
}

// BuildElement is a buildpack or an extension that took part in a build.
type BuildElement struct {
	ID       string `json:"id"`
	Version  string `json:"version"`
	Homepage string `json:"homepage"`
}

// Ref returns the ref of the element.
func (e BuildElement) Ref() Ref { return Ref{ID: e.ID, Version: e.Version} }

// Process is a process that an app image can start.
type Process struct {
	Type        string   `json:"type"`
	Command     Command  `json:"command"`
	Args        []string `json:"args"`
	Direct      bool     `json:"direct"`
	BuildpackID string   `json:"buildpackID"`
	WorkingDir  string   `json:"working-dir"`
}

// Command is a command and its arguments: a list or, before Platform API 0.10, a string.
type Command []string

// UnmarshalJSON reads either form.
func (c *Command) UnmarshalJSON(data []byte) error {
	var list []string
	if json.Unmarshal(data, &list) == nil {
		*c = list
		return nil
	}
	var one string
	if err := json.Unmarshal(data, &one); err != nil {
		return fmt.Errorf("command: %w", err)
	}
	*c = Command{one}
	return nil
}
