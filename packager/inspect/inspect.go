package inspect

import (
	"errors"
	"fmt"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/image"
)

// New describes the images of a location, by their manifests, configs and labels; it reads no
// layer. Index is the digest of the index, or zero if there is none. Invalid labels are no error,
// but problems in the report.
func New(name string, index v1.Hash, images []*image.Image) (*Report, error) {
	r := &Report{Schema: Schema, Name: name, Images: []Image{}}
	if index != (v1.Hash{}) {
		r.Digest = index.String()
	}
	for _, img := range images {
		d, err := describe(img)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", img.Name, err)
		}
		r.Images = append(r.Images, d.Image)
	}
	return r, nil
}

// description is an image that is being described.
type description struct {
	Image
	of       *image.Image
	modules  map[flatten.Kind][]*image.Module
	problems []error
	more     int // problems that are not kept
}

func describe(img *image.Image) (*description, error) {
	d := &description{of: img, modules: map[flatten.Kind][]*image.Module{}}
	d.Kind, d.Target = string(img.Kind()), targetOf(img).String()
	d.Stack, d.Created = img.Config.Config.Labels[flatten.StackIDLabel], created(img.Config.Created.Time)
	d.Order, d.OrderExtensions, d.Modules = []Group{}, []Group{}, []Module{}
	if err := d.identify(); err != nil {
		return nil, err
	}
	for _, kind := range kinds {
		var err error
		d.modules[kind], err = img.Found(kind)
		d.note(err)
	}
	switch img.Kind() {
	case image.Builder:
		d.builder()
	case image.Buildpackage:
		d.buildpackage(flatten.Buildpack)
	case image.Extension:
		d.buildpackage(flatten.Extension)
	case image.App:
		d.app()
	default:
		d.walk(flatten.Buildpack, nil)
		d.walk(flatten.Extension, nil)
	}
	if err := d.layers(); err != nil {
		return nil, err
	}
	d.limits()
	d.Problems = few(d.problems, d.more)
	return d, nil
}

var kinds = []flatten.Kind{flatten.Buildpack, flatten.Extension}

// identify sets digests and media type.
func (d *description) identify() error {
	id, err := d.of.ConfigName()
	if err != nil {
		return err
	}
	d.ID = id.String()
	if !d.of.Stored() {
		return nil
	}
	digest, err := d.of.Digest()
	if err != nil {
		return err
	}
	mediaType, err := d.of.MediaType()
	if err != nil {
		return err
	}
	d.Digest, d.MediaType = digest.String(), string(mediaType)
	return nil
}

// note adds problems.
func (d *description) note(err error) {
	if err == nil {
		return
	}
	if joined, is := err.(interface{ Unwrap() []error }); is {
		for _, e := range joined.Unwrap() {
			d.note(e)
		}
		return
	}
	if text, named := strings.CutPrefix(err.Error(), d.of.Name+": "); named {
		err = errors.New(text)
	}
	d.problem(err)
}

// problem keeps a problem, or counts it: orders that mean harm have a million.
func (d *description) problem(err error) {
	if len(d.problems) == problemLimit {
		d.more++
		return
	}
	d.problems = append(d.problems, err)
}

// problemLimit is how many problems of an image are listed.
const problemLimit = 100

// few returns the text of the first problems, and a count of the rest and of more.
func few(problems []error, more int) []string {
	texts := []string{}
	for _, p := range problems[:min(problemLimit, len(problems))] {
		texts = append(texts, p.Error())
	}
	if more += len(problems) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return texts
}

// targetOf returns the platform of an image, with the distribution that its labels name.
func targetOf(img *image.Image) flatten.Target {
	t, labels := img.Target, img.Config.Config.Labels
	if name := labels[flatten.DistroNameLabel]; name != "" {
		t.Distros = []flatten.Distro{{Name: name, Version: labels[flatten.DistroVersionLabel]}}
	}
	return t
}

// created returns the creation time, or nil if it is a constant that stands for none.
func created(t time.Time) *time.Time {
	t = t.UTC()
	if t.Equal(layer.Epoch) || t.Unix() <= 0 || t.Year() > 9999 {
		return nil
	}
	return &t
}

// limits compares the number of layers with what engines support.
func (d *description) limits() {
	l := Limits{Layers: len(d.Layers), Engine: flatten.EngineLimit}
	if d.Builder != nil {
		l.Build = l.Engine - flatten.Budget(len(d.Builder.System.Pre)+len(d.Builder.System.Post) > 0)
	}
	l.Headroom = l.Engine - l.Build - l.Layers
	d.Limits = l
}
