package release

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/builder"
	"laminate/packager"
	"laminate/packager/config"
	"laminate/packager/diff"
	"laminate/packager/engine"
	"laminate/packager/image"
	"laminate/packager/location"
	"laminate/packager/mediatype"
)

// Item is one image, or the index of its targets, that is released.
type Item struct {
	config.ReleaseImage
	// Digest is that of the image or the index.
	Digest v1.Hash
	// Images are the image, or those of the index.
	Images []Image
	// Last is the release before; nil if there is none.
	Last *Last
	// Tags are all tags in all repositories.
	Tags []*Tag

	// newer is a released version above that of this release, or "".
	newer string
	// file is the digest of the config, as it was when the item was planned.
	file    v1.Hash
	jobs    []job
	views   []*image.Image  // of the images
	sources [][]engine.Used // of each image
	sizes   []ImageReport
	changes *diff.Report
}

// job is a planned image.
type job interface {
	Build(context.Context) (*engine.Image, error)
	Sources(context.Context) ([]engine.Used, error)
}

// plan reads the config of the item and plans its images. Layers of the last release are reused.
func (r *Release) plan(ctx context.Context, item *Item) (err error) {
	o := r.Engine
	o.Grouping, o.Targets, o.MaxLayers = item.Grouping, item.Targets, item.MaxLayers
	o.MediaTypes = mediatype.Family(item.MediaTypes)
	if item.Last != nil {
		o.Previous = &engine.PreviousImage{Location: item.Last.location(), Found: true}
	}
	if o.WorkDir, err = os.MkdirTemp(r.Engine.WorkDir, "release-"); err != nil {
		return err
	}
	if item.Builder {
		item.jobs, err = r.planBuilder(ctx, item, o)
	} else {
		item.jobs, err = r.planBuildpackage(ctx, item, o)
	}
	if err == nil {
		item.file, err = digestOf(r.path(item.ReleaseImage.Config))
	}
	if err != nil {
		return &ItemError{item.Title(), err}
	}
	return nil
}

func digestOf(file string) (v1.Hash, error) {
	data, err := os.ReadFile(file) // which was read before, within limits
	if err != nil {
		return v1.Hash{}, err
	}
	digest, _, err := v1.SHA256(bytes.NewReader(data))
	return digest, err
}

func (r *Release) planBuilder(ctx context.Context, item *Item, o engine.Options) ([]job, error) {
	cfg, problems, err := config.ReadBuilder(r.path(item.ReleaseImage.Config))
	if err != nil {
		return nil, err
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	for _, w := range problems.Warnings() {
		o.Log.Warn(w.Error())
	}
	if item.Buildpackless {
		cfg = cfg.WithoutBuildpacks()
	}
	if item.Description != "" {
		cfg.Description = item.Description
	}
	jobs, err := builder.Prepare(ctx, r.Open, builder.Options{Options: o, Config: cfg, LifecycleURL: r.LifecycleURL, SkipRunImages: item.SkipRunImageCheck, Version: r.Creator})
	return jobsOf(jobs), err
}

func (r *Release) planBuildpackage(ctx context.Context, item *Item, o engine.Options) ([]job, error) {
	cfg, err := config.ReadPackage(r.path(item.ReleaseImage.Config))
	if err != nil {
		return nil, err
	}
	if o.MediaTypes == "" {
		o.MediaTypes = mediatype.OCI // as package has it in registries
	}
	jobs, err := packager.Prepare(ctx, r.Open, packager.Options{Options: o, Config: cfg})
	return jobsOf(jobs), err
}

func jobsOf[J job](jobs []J) []job {
	var all []job
	for _, j := range jobs {
		all = append(all, j)
	}
	return all
}

// build builds the images of the item.
func (r *Release) build(ctx context.Context, item *Item) error {
	for _, j := range item.jobs {
		img, err := j.Build(ctx)
		if err != nil {
			return &ItemError{item.Title(), err}
		}
		used, err := j.Sources(ctx)
		if err != nil {
			return &ItemError{item.Title(), err}
		}
		item.Images, item.sources = append(item.Images, Image{img.Image, img.Target}), append(item.sources, used)
	}
	var err error
	item.Digest, err = r.Digest(item.Images)
	return err
}

// path returns a path of release.toml.
func (r *Release) path(written string) string {
	if filepath.IsAbs(written) {
		return written
	}
	return filepath.Join(r.Config.Dir, written)
}

// at returns the location of the item's digest in a repository.
func (i *Item) at(repository string) location.Location {
	return registryLocation(repository + "@" + i.Digest.String())
}

func registryLocation(ref string) location.Location {
	return location.Location{Kind: location.Registry, Ref: ref, Written: "docker://" + ref}
}

// ItemError is an error about one item.
type ItemError struct {
	Title string
	Err   error
}

func (e *ItemError) Error() string { return fmt.Sprintf("%s: %v", e.Title, e.Err) }

func (e *ItemError) Unwrap() error { return e.Err }
