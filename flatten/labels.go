package flatten

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// The labels of buildpackages and builders (distribution spec, "Labels";
// platform spec, "Builder").
const (
	// BuildpackageMetadataLabel holds a [Metadata].
	BuildpackageMetadataLabel = "io.buildpacks.buildpackage.metadata"
	// BuildpackLayersLabel and ExtensionLayersLabel hold a [LayersLabel].
	BuildpackLayersLabel = "io.buildpacks.buildpack.layers"
	ExtensionLayersLabel = "io.buildpacks.extension.layers"
	// BuilderMetadataLabel holds a [BuilderMetadata], OrderLabel and OrderExtensionsLabel an
	// [Order], and SystemLabel a [System].
	BuilderMetadataLabel = "io.buildpacks.builder.metadata"
	OrderLabel           = "io.buildpacks.buildpack.order"
	OrderExtensionsLabel = "io.buildpacks.buildpack.order-extensions"
	SystemLabel          = "io.buildpacks.buildpack.system"
	// StackIDLabel, DistroNameLabel and DistroVersionLabel describe the build image of a builder, and
	// the run image of an app image.
	StackIDLabel       = "io.buildpacks.stack.id"
	DistroNameLabel    = "io.buildpacks.base.distro.name"
	DistroVersionLabel = "io.buildpacks.base.distro.version"
	// RecipesLabelKey is laminate's own label and holds a [RecipesLabel]. Other tools ignore it.
	RecipesLabelKey = "laminate.layers"
)

// LayersLabelKey returns the key of the label that maps modules of the kind to layers.
func (k Kind) LayersLabelKey() string {
	if k == Extension {
		return ExtensionLayersLabel
	}
	return BuildpackLayersLabel
}

// Metadata is the value of [BuildpackageMetadataLabel]: the root of the
// buildpackage, and the stacks that all of it supports (null for extensions).
type Metadata struct {
	Info
	Stacks []Stack `json:"stacks"`
}

// MaxModules is how many modules a layers label may name: far more than real images have, and few
// enough to bound the work on hostile orders.
const MaxModules = 2000

// LayersLabel is the value of the layers labels: id -> version -> layer.
// Refs that share a layer share its diffID.
type LayersLabel map[string]map[string]LayerInfo

// LayerInfo is the layers label's entry for one module. API and LayerDiffID are always set.
type LayerInfo struct {
	API         string   `json:"api"`
	Stacks      []Stack  `json:"stacks,omitempty"`
	Targets     []Target `json:"targets,omitempty"`
	Order       Order    `json:"order,omitempty"`
	LayerDiffID string   `json:"layerDiffID"`
	Homepage    string   `json:"homepage,omitempty"`
	Name        string   `json:"name,omitempty"`
}

// Add adds a module that the layer with the diffID holds.
func (l LayersLabel) Add(m Module, diffID v1.Hash) {
	if l[m.Info.ID] == nil {
		l[m.Info.ID] = map[string]LayerInfo{}
	}
	l[m.Info.ID][m.Info.Version] = LayerInfo{
		API: m.API, Stacks: m.Stacks, Targets: m.Targets, Order: m.Order,
		LayerDiffID: diffID.String(), Homepage: m.Info.Homepage, Name: m.Info.Name,
	}
}

// Refs returns the refs of the label, sorted.
func (l LayersLabel) Refs() []Ref {
	var refs []Ref
	for id, versions := range l {
		for version := range versions {
			refs = append(refs, Ref{ID: id, Version: version})
		}
	}
	slices.SortFunc(refs, Ref.Compare)
	return refs
}

// Module returns the label's entry for the ref as a module. The label has no description, keywords
// or licenses.
func (l LayersLabel) Module(kind Kind, r Ref) Module {
	info := l[r.ID][r.Version]
	return Module{
		Kind: kind, API: info.API, Stacks: info.Stacks, Targets: info.Targets, Order: info.Order,
		Info: Info{ID: r.ID, Version: r.Version, Name: info.Name, Homepage: info.Homepage},
	}
}

// ParseLayersLabel parses the value of a layers label. It refuses invalid refs (see [Ref.Check])
// and invalid diffIDs.
func ParseLayersLabel(value string) (LayersLabel, error) {
	var l LayersLabel
	if err := json.Unmarshal([]byte(value), &l); err != nil {
		return nil, fmt.Errorf("layers label: %w", err)
	}
	var errs []error
	refs := l.Refs()
	if len(refs) > MaxModules {
		return nil, fmt.Errorf("layers label: too many modules: %d, the limit is %d", len(refs), MaxModules)
	}
	for _, r := range refs {
		if err := r.Check(); err != nil {
			errs = append(errs, fmt.Errorf("layers label: %s: %w", r, err))
		}
		if _, err := v1.NewHash(l[r.ID][r.Version].LayerDiffID); err != nil {
			errs = append(errs, fmt.Errorf("layers label: %s: layerDiffID: %w", r, err))
		}
	}
	return l, errors.Join(errs...)
}

// ParseMetadata parses the value of [BuildpackageMetadataLabel].
func ParseMetadata(value string) (Metadata, error) {
	var m Metadata
	if err := json.Unmarshal([]byte(value), &m); err != nil {
		return Metadata{}, fmt.Errorf("buildpackage metadata label: %w", err)
	}
	if err := (Ref{ID: m.ID, Version: m.Version}).Check(); err != nil {
		return Metadata{}, fmt.Errorf("buildpackage metadata label: %w", err)
	}
	return m, nil
}
