package attest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/packager/image"
)

// SBOMOptions are what the image itself does not say.
type SBOMOptions struct {
	// Name is the image's name, without registry and tag, and Version its version; both may be empty.
	Name    string
	Version string
	// BaseName and BaseDigest are the build image of a builder, if they are known. Otherwise the base
	// image is described by the labels that the builder inherited.
	BaseName   string
	BaseDigest v1.Hash
}

// The names of properties in an SBOM.
const (
	propertyLayer  = "laminate:layer"  // the digest of a layer: of the image, from the bottom; of a module, the one that holds it
	propertyDiffID = "laminate:diffID" // the diffID of a module's layer
	propertyAPI    = "laminate:api"    // the Buildpack API of a module
	propertyKind   = "laminate:kind"   // of a module
	propertyStack  = "laminate:stack"  // of the base image
)

// SBOM describes a builder or a buildpackage as CycloneDX 1.6, in JSON: the image with its digest and
// layers, each of its buildpacks and extensions once, and for builders the lifecycle and the base
// image. It says what labels and manifest say, and reads no layer: what the buildpacks install, and
// the packages of the base image, are not in it.
//
// The hash of a module is its content identity, if it is known: the SHA-256 of a layer that holds
// just this module. Licenses are known of the modules for which the metadata label has them.
//
// The same image with the same options gives the same bytes. The image must have a digest.
func SBOM(img *image.Image, o SBOMOptions) ([]byte, error) {
	s := &sbom{img: img, options: o}
	if err := s.describe(); err != nil {
		return nil, fmt.Errorf("%s: SBOM: %w", img.Name, err)
	}
	raw, err := s.encode()
	if err != nil {
		return nil, fmt.Errorf("%s: SBOM: %w", img.Name, err)
	}
	return raw, nil
}

// sbom is an SBOM that is being made.
type sbom struct {
	img          *image.Image
	options      SBOMOptions
	digest       v1.Hash
	image        cyclonedx.Component
	components   []cyclonedx.Component
	dependencies []cyclonedx.Dependency
}

func (s *sbom) describe() error {
	if !s.img.Stored() {
		return errors.New("the image has no digest; write it to a registry or an OCI layout first")
	}
	var err error
	if s.digest, err = s.img.Digest(); err != nil {
		return err
	}
	info, err := s.infos()
	if err != nil {
		return err
	}
	s.image = cyclonedx.Component{
		BOMRef: s.digest.String(), Type: cyclonedx.ComponentTypeContainer, Version: s.options.Version,
		Name: cmp.Or(s.options.Name, info.root.ID, string(s.img.Kind())), Description: info.description, Hashes: sha256(s.digest),
	}
	var layers []cyclonedx.Property
	for _, l := range s.img.Contents() {
		digest, err := l.Digest()
		if err != nil {
			return err
		}
		layers = append(layers, cyclonedx.Property{Name: propertyLayer, Value: digest.String()})
	}
	s.image.Properties = list(layers)
	if info.builder != nil {
		s.base()
		s.lifecycle(info.builder.Lifecycle)
	}
	for _, kind := range []flatten.Kind{flatten.Buildpack, flatten.Extension} {
		modules, err := s.img.Modules(kind)
		if err != nil {
			return err
		}
		for _, m := range modules {
			if err := s.module(m, info.of(m)); err != nil {
				return err
			}
		}
		s.depend(modules)
	}
	var all []string
	for _, c := range s.components {
		all = append(all, c.BOMRef)
	}
	s.dependencies = slices.Insert(s.dependencies, 0, cyclonedx.Dependency{Ref: s.image.BOMRef, Dependencies: list(all)})
	return nil
}

// infos are what the metadata labels say about the image, and about modules.
type infos struct {
	builder     *image.BuilderLabels // nil if it is none
	root        flatten.Ref          // of a buildpackage
	description string
	modules     map[flatten.Kind]map[flatten.Ref]flatten.Info
}

func (s *sbom) infos() (infos, error) {
	i := infos{modules: map[flatten.Kind]map[flatten.Ref]flatten.Info{flatten.Buildpack: {}, flatten.Extension: {}}}
	add := func(kind flatten.Kind, all ...flatten.Info) {
		for _, one := range all {
			i.modules[kind][flatten.Ref{ID: one.ID, Version: one.Version}] = one
		}
	}
	switch s.img.Kind() {
	case image.Builder:
		var err error
		if i.builder, err = s.img.BuilderLabels(); err != nil {
			return i, err
		}
		i.description = i.builder.Description
		add(flatten.Buildpack, i.builder.Buildpacks...)
		add(flatten.Extension, i.builder.Extensions...)
	case image.Buildpackage, image.Extension:
		kind := flatten.Buildpack
		if s.img.Kind() == image.Extension {
			kind = flatten.Extension
		}
		metadata, err := flatten.ParseMetadata(s.img.Config.Config.Labels[flatten.BuildpackageMetadataLabel])
		if err != nil {
			return i, err
		}
		i.root, i.description = flatten.Ref{ID: metadata.ID, Version: metadata.Version}, metadata.Description
		add(kind, metadata.Info)
	default:
		return i, fmt.Errorf("it is %s, neither a builder nor a buildpackage", s.img.Kind().Indefinite())
	}
	return i, nil
}

// of returns what is known about a module: the layers label has no licenses and no description.
func (i infos) of(m *image.Module) flatten.Info {
	info := m.Info
	more := i.modules[m.Kind][m.Ref()]
	info.Name, info.Homepage = cmp.Or(info.Name, more.Name), cmp.Or(info.Homepage, more.Homepage)
	info.Description, info.Licenses = more.Description, more.Licenses
	return info
}

// module adds a buildpack or an extension.
func (s *sbom) module(m *image.Module, info flatten.Info) error {
	digest, err := m.Layer.Digest()
	if err != nil {
		return err
	}
	c := cyclonedx.Component{
		BOMRef: bomRef(m.Kind, m.Ref()), Type: cyclonedx.ComponentTypeApplication, Name: info.ID, Version: info.Version,
		Description: cmp.Or(info.Description, info.Name), Licenses: licenses(info.Licenses), Hashes: sha256(contentID(m)),
		Properties: &[]cyclonedx.Property{
			{Name: propertyKind, Value: string(m.Kind)}, {Name: propertyAPI, Value: m.API},
			{Name: propertyDiffID, Value: m.Layer.Diff.String()}, {Name: propertyLayer, Value: digest.String()},
		},
	}
	if isWeb(info.Homepage) {
		c.ExternalReferences = &[]cyclonedx.ExternalReference{{Type: cyclonedx.ERTypeWebsite, URL: info.Homepage}}
	}
	s.components = append(s.components, c)
	return nil
}

// depend adds what the order of each module names, as far as it is in the image.
func (s *sbom) depend(modules []*image.Module) {
	here := map[flatten.Ref]bool{}
	for _, m := range modules {
		here[m.Ref()] = true
	}
	for _, m := range modules {
		var on []string
		for _, e := range m.Order.Entries() {
			if here[e.Ref()] && e.Ref() != m.Ref() {
				on = append(on, bomRef(m.Kind, e.Ref()))
			}
		}
		slices.Sort(on)
		if on = slices.Compact(on); len(on) > 0 {
			s.dependencies = append(s.dependencies, cyclonedx.Dependency{Ref: bomRef(m.Kind, m.Ref()), Dependencies: &on})
		}
	}
}

// base adds the base image, as far as it is known.
func (s *sbom) base() {
	labels := s.img.Config.Config.Labels
	stack, distro, version := labels[flatten.StackIDLabel], labels[flatten.DistroNameLabel], labels[flatten.DistroVersionLabel]
	o := s.options
	name := cmp.Or(o.BaseName, distro, stack)
	if name == "" {
		return
	}
	c := cyclonedx.Component{BOMRef: "base image", Type: cyclonedx.ComponentTypeContainer, Name: name, Hashes: sha256(o.BaseDigest)}
	if o.BaseName == "" {
		c.Type, c.Version = cyclonedx.ComponentTypeOS, version
	}
	if stack != "" {
		c.Properties = &[]cyclonedx.Property{{Name: propertyStack, Value: stack}}
	}
	s.components = append(s.components, c)
}

func (s *sbom) lifecycle(l flatten.Lifecycle) {
	if l.Version != "" {
		s.components = append(s.components, cyclonedx.Component{
			BOMRef: "lifecycle", Type: cyclonedx.ComponentTypeApplication, Group: "buildpacks", Name: "lifecycle", Version: l.Version,
		})
	}
}
