package inspect

import (
	"maps"
	"slices"
	"strings"

	"laminate/flatten"
)

// made is what the labels of an app image say of a layer.
type made struct{ part, holds, ref string }

// partitionApp says what the layers of an app image are for, by its labels. Layers of extensions of
// the run image are in none; the lifecycle writes them to the history.
func (d *description) partitionApp(history []string) {
	labels, _ := d.of.AppLabels() // app has reported the error
	byDiffID := appLayers(labels.Layers)
	left := map[string]int{} // how many layers with the diffID follow
	for _, l := range d.Layers {
		left[l.DiffID]++
	}
	top := slices.IndexFunc(d.Layers, func(l Layer) bool { return l.DiffID == labels.Layers.RunImage.TopLayer })
	for i := range d.Layers {
		l := &d.Layers[i]
		if l.Holds = history[i]; i <= top {
			l.Part = RunImagePart
			left[l.DiffID]--
			continue
		}
		of := byDiffID[l.DiffID]
		if left[l.DiffID]--; left[l.DiffID] > 0 && len(of) > 1 { // two equal layers
			byDiffID[l.DiffID], of = of[1:], of[:1]
		}
		var holds []string
		for _, m := range of {
			l.Part = m.part
			holds = append(holds, m.holds)
			if m.ref != "" && !slices.Contains(l.Refs, m.ref) {
				l.Refs = append(l.Refs, m.ref)
			}
		}
		if len(holds) > 0 {
			l.Holds = clip(strings.Join(holds, ", "))
		}
	}
}

// appLayers returns what the label says of each layer, by diffID, in the order in which the
// lifecycle adds layers.
func appLayers(a flatten.AppLayers) map[string][]made {
	all := map[string][]made{}
	add := func(sha string, m made) {
		if sha != "" {
			all[sha] = append(all[sha], m)
		}
	}
	for _, b := range a.Buildpacks {
		ref := flatten.Ref{ID: b.ID, Version: b.Version}.String()
		for _, name := range slices.Sorted(maps.Keys(b.Layers)) {
			add(b.Layers[name].SHA, made{BuildPart, name, ref})
		}
	}
	if a.SBOM != nil {
		add(a.SBOM.SHA, made{SBOMPart, "software bill of materials", ""})
	}
	for _, l := range a.App {
		add(l.SHA, made{ApplicationPart, "application", ""})
	}
	add(a.Launcher.SHA, made{LauncherPart, "launcher", ""})
	add(a.Config.SHA, made{LauncherPart, "launcher configuration", ""})
	add(a.ProcessTypes.SHA, made{LauncherPart, "process types", ""})
	return all
}
