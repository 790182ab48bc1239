package inspect

import (
	"path"

	"laminate/flatten"
)

// builder describes the labels of a builder.
func (d *description) builder() {
	labels, err := d.of.BuilderLabels()
	d.note(err)
	d.Builder = &Builder{
		Description: labels.Description,
		RunImages:   []RunImage{},
		Lifecycle: Lifecycle{
			Version:      labels.Lifecycle.Version,
			BuildpackAPI: apis(labels.Lifecycle.APIs.Buildpack, labels.Lifecycle.API.Buildpack),
			PlatformAPI:  apis(labels.Lifecycle.APIs.Platform, labels.Lifecycle.API.Platform),
		},
	}
	if t := labels.CreatedBy; t.Name != "" {
		d.CreatedBy = &Tool{t.Name, t.Version}
	}
	images := labels.RunImages
	if len(images) == 0 && labels.Stack.RunImage.Image != "" { // builders of older tools
		images = []flatten.RunImage{labels.Stack.RunImage}
	}
	for _, i := range images {
		d.Builder.RunImages = append(d.Builder.RunImages, RunImage{i.Image, orEmpty(i.Mirrors)})
	}
	buildpacks := d.walk(flatten.Buildpack, labels.Entries())
	extensions := d.walk(flatten.Extension, labels.OrderExtensions.Entries())
	d.Order = buildpacks.groups("the order", labels.Order)
	d.OrderExtensions = extensions.groups("the order of extensions", labels.OrderExtensions)
	d.Builder.System = System{
		Pre:  buildpacks.entries("the system buildpacks", labels.System.Pre.Buildpacks),
		Post: buildpacks.entries("the system buildpacks", labels.System.Post.Buildpacks),
	}
}

// apis returns the versions of an API. Older labels have only the lowest one.
func apis(v flatten.APIVersions, lowest string) APIs {
	if len(v.Supported) == 0 && len(v.Deprecated) == 0 && lowest != "" {
		v.Supported = []string{lowest}
	}
	return APIs{orEmpty(v.Deprecated), orEmpty(v.Supported)}
}

// buildpackage describes the labels of a buildpackage or an extension package.
func (d *description) buildpackage(kind flatten.Kind) {
	m, err := d.of.Metadata()
	d.note(err)
	p := &Buildpackage{
		ID: m.ID, Version: m.Version, Name: m.Name, Description: m.Description, Homepage: m.Homepage,
		Keywords: orEmpty(m.Keywords), Licenses: []License{}, Stacks: stackIDs(m.Stacks), Targets: d.commonTargets(kind),
	}
	for _, l := range m.Licenses {
		p.Licenses = append(p.Licenses, License{l.Type, l.URI})
	}
	d.Buildpackage = p
	root := flatten.Ref{ID: m.ID, Version: m.Version}
	w := d.walk(kind, []flatten.Entry{{ID: root.ID, Version: root.Version}})
	if _, is := w.modules[root]; err == nil && !is {
		d.problemf("label %s names %s, which label %s lacks", flatten.BuildpackageMetadataLabel, root, kind.LayersLabelKey())
	}
	d.Order = w.groups("", w.modules[root].Order) // walk has reported its problems
	for _, other := range kinds {
		if other != kind {
			d.walk(other, nil)
		}
	}
}

// app describes the labels of an app image.
func (d *description) app() {
	labels, err := d.of.AppLabels()
	d.note(err)
	run := labels.Layers.RunImage
	if run.Image == "" {
		run.RunImage = labels.Layers.Stack.RunImage
	}
	a := &App{
		Buildpacks: []AppBuildpack{}, Processes: []Process{}, Launcher: labels.Build.Launcher.Version,
		RunImage: AppRunImage{Image: run.Image, Mirrors: orEmpty(run.Mirrors), Reference: run.Reference, TopLayer: run.TopLayer},
	}
	for _, b := range labels.Build.Buildpacks {
		a.Buildpacks = append(a.Buildpacks, AppBuildpack{b.Ref().String(), string(flatten.Buildpack), b.Homepage})
	}
	for _, e := range labels.Build.Extensions {
		a.Buildpacks = append(a.Buildpacks, AppBuildpack{e.Ref().String(), string(flatten.Extension), e.Homepage})
	}
	for _, p := range labels.Build.Processes {
		a.Processes = append(a.Processes, Process{
			Type: p.Type, Command: orEmpty(p.Command), Args: orEmpty(p.Args), Direct: p.Direct,
			Default: p.Type == d.defaultProcess(labels.Build.DefaultProcess), Buildpack: p.BuildpackID,
		})
	}
	d.App = a
}

// defaultProcess returns the type of the process that an app image starts: its entrypoint is a link
// of that name to the launcher. Older images have the type that the buildpacks chose in the label.
func (d *description) defaultProcess(labelled string) string {
	if e := d.of.Config.Config.Entrypoint; len(e) > 0 {
		if dir, name := path.Split(e[0]); dir == "/cnb/process/" {
			return name
		}
	}
	return labelled
}

// orEmpty returns a list that is not null.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
