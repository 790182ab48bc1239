package verify

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/image"
)

// labels checks the labels, and finds the modules in them.
func (v *verifier) labels() {
	v.plain = map[flatten.Kind]flatten.Modules{}
	v.byLayer = make([]map[flatten.Kind][]flatten.Ref, v.Layers)
	for i := range v.byLayer {
		v.byLayer[i] = map[flatten.Kind][]flatten.Ref{}
	}
	for _, kind := range kinds {
		v.layersLabel(kind)
	}
	switch v.img.Kind() {
	case image.Buildpackage:
		v.packageLabel(flatten.Buildpack)
	case image.Extension:
		v.packageLabel(flatten.Extension)
	case image.Builder:
		v.builderLabels()
	case image.Other:
		v.kindLabel()
	}
	v.ownLabel()
}

// kindLabel checks that an image with buildpacks says what it is.
func (v *verifier) kindLabel() {
	for _, kind := range kinds {
		if len(v.plain[kind]) > 0 {
			v.broken(Label, "label %s names %ss, but there is neither label %s nor %s: the image is no builder and no package",
				kind.LayersLabelKey(), kind, flatten.BuilderMetadataLabel, flatten.BuildpackageMetadataLabel)
		}
	}
}

// layersLabel reads the modules of a kind.
func (v *verifier) layersLabel(kind flatten.Kind) {
	v.plain[kind] = flatten.Modules{}
	value := v.img.Config.Config.Labels[kind.LayersLabelKey()]
	if value == "" {
		return
	}
	label, err := flatten.ParseLayersLabel(value)
	if err != nil {
		for _, e := range parts(err) {
			v.broken(Label, "label %s: %s", kind.LayersLabelKey(), strings.TrimPrefix(e.Error(), "layers label: "))
		}
		v.unknown[kind] = true
		return
	}
	found, _ := v.img.Found(kind) // its errors are those of the refs that it lacks
	numbers := map[*image.Layer]int{}
	for i, l := range v.img.Contents() {
		numbers[l] = i
	}
	for _, m := range found {
		at := module{kind, m.Ref()}
		i := numbers[m.Layer]
		v.parts[at], v.plain[kind][at.ref] = part{Module: m, layer: i}, m.Module
		v.byLayer[i][kind] = append(v.byLayer[i][kind], at.ref)
		if other, taken := v.dirs[at.dir()]; taken {
			v.add(Finding{Severity: Broken, What: SharedDir, Ref: at.ref.String(), Message: fmt.Sprintf("has the same directory as %s: %s", other.ref, at.dir())})
		}
		v.dirs[at.dir()] = at
		v.labelAPI(at, m.API)
	}
	for _, r := range label.Refs() {
		if _, is := v.parts[module{kind, r}]; !is {
			v.add(Finding{Severity: Broken, What: LabelLayer, Ref: r.String(),
				Message: fmt.Sprintf("label %s has it in layer %s, which is not in the image", kind.LayersLabelKey(), label[r.ID][r.Version].LayerDiffID)})
		}
	}
}

func (v *verifier) labelAPI(m module, api string) {
	f := Finding{Severity: Broken, What: API, Ref: m.ref.String()}
	switch {
	case api == "":
		f.Message = fmt.Sprintf("label %s has no Buildpack API for it", m.kind.LayersLabelKey())
	case v.img.Kind() != image.Builder && !config.KnownAPI(api):
		f.Severity, f.Message = Note, fmt.Sprintf("Buildpack API %.40q is unknown", api)
	default:
		return
	}
	v.add(f)
}

// each adds a finding for every one of the joined errors.
func (v *verifier) each(what What, err error) {
	for _, e := range parts(err) {
		v.broken(what, "%s", strings.TrimPrefix(e.Error(), v.img.Name+": "))
	}
}

// parts returns the errors that are joined in one.
func parts(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok && err != nil {
		return []error{err}
	}
	var all []error
	if ok {
		for _, e := range joined.Unwrap() {
			all = append(all, parts(e)...)
		}
	}
	return all
}

// packageLabel checks the root of a buildpackage.
func (v *verifier) packageLabel(kind flatten.Kind) {
	metadata, err := flatten.ParseMetadata(v.img.Config.Config.Labels[flatten.BuildpackageMetadataLabel])
	if err != nil {
		v.each(Label, err)
		return
	}
	if v.img.Config.Config.Labels[kind.LayersLabelKey()] == "" {
		v.broken(Label, "label %s is missing", kind.LayersLabelKey())
		return
	}
	root := flatten.Ref{ID: metadata.ID, Version: metadata.Version}
	if _, is := v.plain[kind][root]; !is && !v.unknown[kind] {
		v.add(Finding{Severity: Broken, What: Root, Ref: root.String(),
			Message: fmt.Sprintf("label %s names it as the root, but it is not in the image", flatten.BuildpackageMetadataLabel)})
	}
}

// builderLabels checks that the metadata lists the modules, each once.
func (v *verifier) builderLabels() {
	labels, err := v.img.BuilderLabels()
	v.each(Label, err)
	v.builder = labels
	if err != nil && labels.Lifecycle.Version == "" && len(labels.BuilderMetadata.Buildpacks) == 0 {
		return
	}
	for _, kind := range kinds {
		list := labels.BuilderMetadata.Buildpacks
		if kind == flatten.Extension {
			list = labels.BuilderMetadata.Extensions
		}
		if key := kind.LayersLabelKey(); len(list) > 0 && v.img.Config.Config.Labels[key] == "" {
			v.broken(Label, "label %s is missing", key)
			v.unknown[kind] = true
		}
		if v.unknown[kind] {
			continue
		}
		times := map[flatten.Ref]int{}
		for _, info := range list {
			times[flatten.Ref{ID: info.ID, Version: info.Version}]++
		}
		for _, r := range slices.SortedFunc(maps.Keys(times), flatten.Ref.Compare) {
			if _, is := v.plain[kind][r]; !is {
				v.add(Finding{Severity: Broken, What: Metadata, Ref: r.String(), Message: fmt.Sprintf("label %s lists it, but it is not in the image", flatten.BuilderMetadataLabel)})
			} else if n := times[r]; n > 1 {
				v.add(Finding{Severity: Note, What: Metadata, Ref: r.String(), Message: fmt.Sprintf("label %s lists it %d times", flatten.BuilderMetadataLabel, n)})
			}
		}
		for _, r := range slices.SortedFunc(maps.Keys(v.plain[kind]), flatten.Ref.Compare) {
			if times[r] == 0 {
				v.add(Finding{Severity: Note, What: Metadata, Ref: r.String(), Message: fmt.Sprintf("label %s does not list it", flatten.BuilderMetadataLabel)})
			}
		}
	}
}

// ownLabel checks that laminate's own label is one that laminate could have written. The layers are
// compared with it when they are read.
func (v *verifier) ownLabel() {
	value, labelled := v.img.Config.Config.Labels[flatten.RecipesLabelKey]
	if !labelled {
		return
	}
	if _, err := flatten.ParseRecipesLabel(value); err != nil {
		v.each(OwnLabel, err)
		return
	}
	var records map[string]json.RawMessage
	if err := json.Unmarshal([]byte(value), &records); err != nil {
		v.each(OwnLabel, err)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(records)) {
		if strings.Contains(key, ":") {
			continue // of an earlier version, some of whose entries do not count
		}
		one, _ := json.Marshal(map[string]json.RawMessage{key: records[key]})
		if l, err := flatten.ParseRecipesLabel(string(one)); err != nil || len(l) == 0 {
			v.broken(OwnLabel, "label %s: the entry of layer %.43s is inconsistent", flatten.RecipesLabelKey, key)
		}
	}
}
