package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"laminate/packager/engine"
	"laminate/packager/image"

	"laminate/flatten"
)

// mixinsLabel lists the mixins of a build image (platform spec, "Build Image").
const mixinsLabel = "io.buildpacks.stack.mixins"

// base is the metadata of the build image.
type base struct {
	*image.Image
	modules  map[flatten.Kind][]*image.Module
	uid, gid int
	stackID  string
	mixins   []string
	distro   flatten.Distro
	layers   int
}

// openBase opens the build image for a target, with the modules in its labels.
func (p *preparation) openBase(ctx context.Context, target flatten.Target) (*image.Image, map[flatten.Kind][]*image.Module, error) {
	img, err := p.open.Image(ctx, p.buildImage, target)
	modules := map[flatten.Kind][]*image.Module{}
	for _, kind := range kinds {
		if err == nil {
			modules[kind], err = img.Modules(kind)
		}
	}
	return img, modules, engine.WithPlace(p.at("build image ", p.options.Config.BuildImagePath()...), err)
}

// readBase reads the build image's environment and labels.
func readBase(img *image.Image, modules map[flatten.Kind][]*image.Module) (base, error) {
	b := base{Image: img, modules: modules, layers: len(img.Config.RootFS.DiffIDs)}
	labels := img.Config.Config.Labels
	var errUID, errGID, errMixins error
	b.uid, errUID = b.id("CNB_USER_ID")
	b.gid, errGID = b.id("CNB_GROUP_ID")
	b.stackID = labels[flatten.StackIDLabel]
	b.distro = flatten.Distro{Name: labels[flatten.DistroNameLabel], Version: labels[flatten.DistroVersionLabel]}
	if value := labels[mixinsLabel]; value != "" {
		if err := json.Unmarshal([]byte(value), &b.mixins); err != nil {
			errMixins = fmt.Errorf("build image %s: label %s: %w", img.Name, mixinsLabel, err)
		}
	}
	return b, errors.Join(errUID, errGID, errMixins)
}

// id returns the id of the build user or group.
func (b base) id(name string) (int, error) {
	for _, v := range b.Config.Config.Env {
		value, is := strings.CutPrefix(v, name+"=")
		if !is {
			continue
		}
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return 0, fmt.Errorf("build image %s: environment variable %s is %q; it must be a number", b.Name, name, value)
		}
		return n, nil
	}
	return 0, fmt.Errorf("build image %s: environment variable %s is missing", b.Name, name)
}

// runs returns why a component cannot run on the build image, or "". It compares targets or, if the
// component has none, stacks (buildpack spec, "Targets", "Stacks").
func (b base) runs(m flatten.Module) string {
	if m.IsComposite() || m.Kind == flatten.Extension || len(m.Targets)+len(m.Stacks) == 0 {
		return ""
	}
	if len(m.Targets) > 0 && slices.ContainsFunc(m.Targets, b.isTarget) {
		return ""
	}
	if len(m.Stacks) > 0 {
		return b.onStack(m.Stacks)
	}
	var targets []string
	for _, t := range m.Targets {
		targets = append(targets, t.String())
	}
	return fmt.Sprintf("is for %s, but the build image is %s", strings.Join(targets, ", "), b.platform())
}

// platform returns the build image's platform, with its distribution if it has one.
func (b base) platform() string {
	t := b.Target
	if b.distro.Name != "" {
		t.Distros = []flatten.Distro{b.distro}
	}
	return t.String()
}

func (b base) isTarget(t flatten.Target) bool {
	fits := func(want, has string) bool { return want == "" || has == "" || want == has }
	if !fits(t.OS, b.Target.OS) || !fits(t.Arch, b.Target.Arch) || !fits(t.Variant, b.Target.Variant) {
		return false
	}
	return len(t.Distros) == 0 || b.distro.Name == "" || b.distro.Version == "" || slices.ContainsFunc(t.Distros, func(d flatten.Distro) bool {
		return fits(d.Name, b.distro.Name) && fits(d.Version, b.distro.Version)
	})
}

// onStack returns why none of the stacks matches the build image, or "". It ignores mixins of the
// run image.
func (b base) onStack(stacks []flatten.Stack) string {
	i := slices.IndexFunc(stacks, func(s flatten.Stack) bool { return s.ID == b.stackID || s.ID == flatten.AnyStack })
	if i < 0 {
		var ids []string
		for _, s := range stacks {
			ids = append(ids, s.ID)
		}
		if b.stackID == "" {
			return fmt.Sprintf("is for stack %s, but the build image has no stack", strings.Join(ids, ", "))
		}
		return fmt.Sprintf("is for stack %s, but the build image has stack %s", strings.Join(ids, ", "), b.stackID)
	}
	var missing []string
	for _, m := range stacks[i].Mixins {
		if !strings.HasPrefix(m, "run:") && !slices.Contains(b.mixins, m) {
			missing = append(missing, m)
		}
	}
	if len(missing) > 0 {
		return "needs mixins that the build image lacks: " + strings.Join(missing, ", ")
	}
	return ""
}
