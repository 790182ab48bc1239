package image

import (
	"fmt"
	"regexp"
	"slices"

	"laminate/flatten"
	"laminate/packager/config"
)

// Package returns the buildpackage that the labels describe.
func (i *Image) Package(kind flatten.Kind) (*Package, error) {
	label, metadata, err := i.labels(kind)
	if err != nil {
		return nil, err
	}
	root := flatten.Ref{ID: metadata.ID, Version: metadata.Version}
	p := &Package{Name: i.Name, Root: root, Target: i.Target, Image: i}
	if p.Modules, err = i.listed(kind, label); err != nil {
		return nil, err
	}
	if p.Problems, err = i.checkLabelled(p.Modules); err != nil {
		return nil, err
	}
	at := slices.IndexFunc(p.Modules, func(m *Module) bool { return m.Ref() == root })
	if at < 0 {
		return nil, fmt.Errorf("%s: label %s names %s, which label %s lacks", i.Name, flatten.BuildpackageMetadataLabel, root, kind.LayersLabelKey())
	}
	m := p.Modules[at]
	m.Info = metadata.Info
	p.Modules = slices.Insert(slices.Delete(p.Modules, at, at+1), 0, m)
	return p, nil
}

func (i *Image) labels(kind flatten.Kind) (flatten.LayersLabel, flatten.Metadata, error) {
	key := kind.LayersLabelKey()
	value, labelled := i.Config.Config.Labels[key]
	if !labelled {
		other := flatten.ExtensionLayersLabel
		if kind == flatten.Extension {
			other = flatten.BuildpackLayersLabel
		}
		if _, has := i.Config.Config.Labels[other]; has {
			return nil, flatten.Metadata{}, fmt.Errorf("%s: wrong kind of package: label %s instead of %s", i.Name, other, key)
		}
		return nil, flatten.Metadata{}, fmt.Errorf("%s: not a buildpackage: missing label %s", i.Name, key)
	}
	label, err := flatten.ParseLayersLabel(value)
	if err != nil {
		return nil, flatten.Metadata{}, fmt.Errorf("%s: %w", i.Name, fewOf(err))
	}
	value, labelled = i.Config.Config.Labels[flatten.BuildpackageMetadataLabel]
	if !labelled {
		return nil, flatten.Metadata{}, fmt.Errorf("%s: not a buildpackage, perhaps a builder: missing label %s", i.Name, flatten.BuildpackageMetadataLabel)
	}
	metadata, err := flatten.ParseMetadata(value)
	if err != nil {
		return nil, flatten.Metadata{}, fmt.Errorf("%s: %w", i.Name, err)
	}
	return label, metadata, nil
}

// apiForm matches Buildpack API versions that all readers of labels accept.
var apiForm = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,9})?$`)

// checkLabelled validates modules from labels like those from a buildpack.toml. Anything that
// platforms cannot use is an error; other problems are warnings.
func (i *Image) checkLabelled(modules []*Module) (config.Problems, error) {
	var doubts config.Problems
	var errs []error
	doubt := func(format string, args ...any) {
		doubts = append(doubts, config.Problem{File: i.Name, Message: fmt.Sprintf(format, args...), Warning: true})
	}
	for _, m := range modules {
		switch {
		case m.API == "":
			errs = append(errs, fmt.Errorf("%s: label %s has no api for %s", i.Name, m.Kind.LayersLabelKey(), m.Ref()))
		case !apiForm.MatchString(m.API):
			errs = append(errs, fmt.Errorf("%s: label %s has invalid api %.40q for %s", i.Name, m.Kind.LayersLabelKey(), m.API, m.Ref()))
		case !config.KnownAPI(m.API):
			doubt("%s has unknown buildpack API %s", m.Ref(), m.API)
		}
		if len(m.Order) > 0 && len(m.Stacks) > 0 {
			doubt("%s has an order and stacks; its stacks are ignored", m.Ref())
		}
		if len(m.Order) > 0 && len(m.Targets) > 0 {
			doubt("%s has an order and targets; its targets are ignored", m.Ref())
		}
	}
	return doubts.Few(), few(errs)
}
