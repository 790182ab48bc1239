package smoke

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"laminate/builder/smoke/tardiff"
	"laminate/packager/image"
)

// Twice is what came of building an app again, from the cache and the image of its first build, with
// nothing else changed.
type Twice struct {
	// Image is the digest of the second app image.
	Image string `json:"image"`
	// Layers are the layers of the second image above those of the run image, from the bottom, and then
	// those that only the first one has.
	Layers []TwiceLayer `json:"layers"`
}

// TwiceLayer is what became of a layer in the second build.
type TwiceLayer struct {
	// Buildpack is the id of the buildpack that made the layer; "" for one of the lifecycle's own.
	Buildpack string `json:"buildpack,omitempty"`
	// Name is the buildpack's name for it, or app, app slice N, launcher, config, process-types or sbom.
	Name    string       `json:"name"`
	Outcome LayerOutcome `json:"outcome"`
	// Bytes is the size of the files in it.
	Bytes int64 `json:"bytes"`
	// Written is the size of those of them that the second build wrote; 0 for layers of the lifecycle.
	Written int64 `json:"written,omitempty"`
	// Changes are the paths that differ, at most changesListed, and MoreChanges is how many more do.
	Changes     []tardiff.Change `json:"changes,omitempty"`
	MoreChanges int              `json:"more_changes,omitempty"`
	// AppFiles is how many of the app's files are in a layer of a buildpack with much else; 0 unless that
	// is most of them. All of such a layer is new whenever the app is.
	AppFiles int `json:"app_files,omitempty"`
}

// LayerOutcome is how a layer of the second image came about.
type LayerOutcome string

// A layer is reused if the second build wrote none of its files: it is that of the previous image, or is
// as the cache had it. Otherwise it was built again, with the same bytes or with others. What the
// lifecycle makes itself it makes at every build. New and gone are layers that only one image has.
const (
	ReusedLayer    LayerOutcome = "reused"
	SameLayer      LayerOutcome = "same"
	DifferentLayer LayerOutcome = "different"
	NewLayer       LayerOutcome = "new"
	GoneLayer      LayerOutcome = "gone"
)

const (
	// changesListed is how many paths are listed for a layer.
	changesListed = 100
	// muchElse is how many bytes beside the app's files make a layer one that should not have them.
	muchElse = 1 << 20
)

// rebuild is what the second build is compared with, and what it needs for that.
type rebuild struct {
	first *image.Image
	files *tardiff.Files // of the app
	// begin is when the first bin/build began, in nanoseconds: what has changed later, one of them wrote.
	begin int64
}

// again builds an app again, and compares the images.
func (s *Session) again(ctx context.Context, a App, first *Built, result *Result) ([]Failure, error) {
	dir := filepath.Join(first.dir, "again")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	a.Previous, a.rebuild = first.App, &rebuild{first: first.App}
	if a.CacheDir == "" {
		a.CacheDir = filepath.Join(first.dir, filepath.FromSlash(cacheDir))
	}
	second, err := s.logged(ctx, a, dir, "rebuild", result)
	if err != nil {
		return nil, fmt.Errorf("second build: %w", err)
	}
	if second.Stopped != nil {
		return []Failure{{Message: fmt.Sprintf("second build: %v", second.Stopped)}}, nil
	}
	if second.App == nil {
		return []Failure{{Message: fmt.Sprintf("second build, from the cache and the image of the first one, ended with exit code %d", second.ExitCode)}}, nil
	}
	digest, err := second.App.Digest()
	if err != nil {
		return nil, err
	}
	t := &Twice{Image: digest.String(), Layers: []TwiceLayer{}}
	result.Twice = t
	err = s.compare(ctx, a.rebuild, second, t)
	result.Warnings = append(result.Warnings, t.Findings()...)
	return nil, err
}

// compare compares the layers of two images above the run image.
func (s *Session) compare(ctx context.Context, r *rebuild, second *Built, t *Twice) error {
	before, err := ownedLayers(r.first, len(s.RunImage.Contents()))
	if err != nil {
		return err
	}
	now, err := ownedLayers(second.App, len(s.RunImage.Contents()))
	if err != nil {
		return err
	}
	is := map[owner]bool{}
	was := map[owner]*image.Layer{}
	for _, l := range before {
		was[l.owner] = l.Layer
	}
	for _, l := range now {
		is[l.owner] = true
		layer, err := r.layer(ctx, l, was[l.owner], second.dir)
		if err != nil {
			return fmt.Errorf("comparing layer %s: %w", l.owner, err)
		}
		t.Layers = append(t.Layers, layer)
	}
	for _, l := range before {
		if !is[l.owner] {
			t.Layers = append(t.Layers, TwiceLayer{Buildpack: l.buildpack, Name: l.name, Outcome: GoneLayer})
		}
	}
	return nil
}

// layer compares a layer with the one of the first image, which is nil if there was none.
func (r *rebuild) layer(ctx context.Context, l ownedLayer, was *image.Layer, dir string) (TwiceLayer, error) {
	t := TwiceLayer{Buildpack: l.buildpack, Name: l.name}
	content, err := read(ctx, l.Layer, r.files)
	if err != nil {
		return t, err
	}
	t.Bytes = content.Bytes
	if l.buildpack != "" && content.Bytes-content.KnownBytes >= muchElse && content.Known*4 >= r.files.Len()*3 {
		t.AppFiles = content.Known
	}
	wrote := true
	if l.buildpack != "" {
		if t.Written, wrote, err = writtenSince(filepath.Join(dir, filepath.FromSlash(layersDir)), l.dir(), r.begin); err != nil {
			return t, err
		}
	}
	switch {
	case was == nil:
		t.Outcome = NewLayer
	case was.Diff != l.Diff:
		t.Outcome = DifferentLayer
		return t, t.differ(ctx, was, l.Layer)
	case wrote:
		t.Outcome = SameLayer
	default:
		t.Outcome = ReusedLayer
	}
	return t, nil
}

// differ lists the paths that differ.
func (l *TwiceLayer) differ(ctx context.Context, was, is *image.Layer) error {
	a, err := was.Open(ctx)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := is.Open(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	return tardiff.Compare(a, b, func(c tardiff.Change) error {
		if len(l.Changes) == changesListed {
			l.MoreChanges++
		} else {
			l.Changes = append(l.Changes, c)
		}
		return nil
	})
}

// read says what is in a layer.
func read(ctx context.Context, l *image.Layer, known *tardiff.Files) (tardiff.Content, error) {
	r, err := l.Open(ctx)
	if err != nil {
		return tardiff.Content{}, err
	}
	defer r.Close()
	return tardiff.Read(r, known)
}

// owner is what made a layer of an app image: a buildpack, or the lifecycle.
type owner struct{ buildpack, name string }

func (o owner) String() string { return strings.TrimPrefix(o.buildpack+":"+o.name, ":") }

// dir is the directory of a buildpack's layer below that of all layers.
func (o owner) dir() string { return strings.ReplaceAll(o.buildpack, "/", "_") + "/" + o.name }

type ownedLayer struct {
	owner
	*image.Layer
}

// ownedLayers returns the layers of an app image above those of its run image, with their owners
// according to the lifecycle's label.
func ownedLayers(img *image.Image, below int) ([]ownedLayer, error) {
	labels, err := img.AppLabels()
	if err != nil {
		return nil, err
	}
	of := map[string]owner{
		labels.Layers.Launcher.SHA: {"", "launcher"}, labels.Layers.Config.SHA: {"", "config"}, labels.Layers.ProcessTypes.SHA: {"", "process-types"},
	}
	if labels.Layers.SBOM != nil {
		of[labels.Layers.SBOM.SHA] = owner{"", "sbom"}
	}
	for i, a := range labels.Layers.App {
		of[a.SHA] = owner{"", "app"}
		if len(labels.Layers.App) > 1 {
			of[a.SHA] = owner{"", fmt.Sprintf("app slice %d", i+1)}
		}
	}
	for _, b := range labels.Layers.Buildpacks {
		for _, name := range slices.Sorted(maps.Keys(b.Layers)) {
			of[b.Layers[name].SHA] = owner{b.ID, name}
		}
	}
	var all []ownedLayer
	for _, l := range img.Contents()[below:] {
		o, known := of[l.Diff.String()]
		if !known {
			o = owner{"", l.Diff.String()}
		}
		all = append(all, ownedLayer{o, l})
	}
	return all, nil
}
