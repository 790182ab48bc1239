package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"laminate/flatten"
	"laminate/packager/image"
)

// orders checks the entries of all orders: each must name exactly one module of the image.
func (v *verifier) orders() {
	buildpacks := v.plain[flatten.Buildpack]
	if v.builder != nil {
		v.entries(flatten.Buildpack, "order", v.builder.Order.Entries())
		v.entries(flatten.Extension, "order of extensions", v.builder.OrderExtensions.Entries())
		v.entries(flatten.Buildpack, "list of system buildpacks", v.builder.System.Entries())
	}
	_, problems := buildpacks.ExpandAll(slices.SortedFunc(maps.Keys(buildpacks), flatten.Ref.Compare))
	for _, p := range problems {
		f := Finding{Severity: Broken, What: Order, Ref: p.In.String(), Message: "its order: " + strings.TrimSuffix(p.Message, "; no source provides it")}
		if message, isCycle := strings.CutPrefix(p.Message, "cycle in order"); isCycle {
			f.Message = "its order has a cycle" + message
		}
		if p.Warning {
			f.Severity = Note
		}
		v.add(f)
	}
	if v.img.Kind() == image.Builder {
		v.apis()
	}
}

// entries checks the entries of an order of the builder.
func (v *verifier) entries(kind flatten.Kind, where string, entries []flatten.Entry) {
	if v.unknown[kind] {
		return
	}
	finder := v.plain[kind].Finder()
	for _, e := range entries {
		switch found := finder.Find(e); {
		case len(found) == 0:
			v.add(Finding{Severity: Broken, What: Order, Ref: e.Ref().String(), Message: fmt.Sprintf("the %s names it, but it is not in the image", where)})
		case len(found) > 1:
			v.add(Finding{Severity: Broken, What: Order, Ref: e.ID, Message: fmt.Sprintf("the %s names it without a version, and the image has %s", where, flatten.Few(found))})
		}
	}
}

// apis checks that the lifecycle supports what the builder has.
func (v *verifier) apis() {
	l := v.builder.Lifecycle
	if len(l.APIs.Buildpack.All())+len(l.APIs.Platform.All()) == 0 {
		v.note(API, "label %s does not say which APIs the lifecycle supports", flatten.BuilderMetadataLabel)
		return
	}
	if !v.builder.System.Empty() && !l.HasPlatform(flatten.SystemPlatform) {
		v.note(API, "lifecycle %s does not support system buildpacks, which require Platform API %s", l.Version, flatten.SystemPlatform)
	}
	if len(v.plain[flatten.Extension])+len(v.builder.OrderExtensions) > 0 && !l.HasPlatform(flatten.ExtensionPlatform) {
		v.broken(API, "lifecycle %s does not support image extensions, except as an experiment: they require Platform API %s", l.Version, flatten.ExtensionPlatform)
	}
	used := v.used()
	for _, kind := range kinds {
		for _, r := range slices.SortedFunc(maps.Keys(v.plain[kind]), flatten.Ref.Compare) {
			m := v.plain[kind][r]
			f := Finding{Severity: Note, What: API, Ref: r.String()}
			switch ok, deprecated := l.Supports(m); {
			case m.API == "":
				continue // reported
			case !ok:
				f.Message = fmt.Sprintf("lifecycle %s does not support its Buildpack API %.40s; it supports %s", l.Version, m.API, strings.Join(l.APIs.Buildpack.All(), ", "))
				if used[module{kind, r}] {
					f.Severity = Broken
				}
			case deprecated:
				f.Message = fmt.Sprintf("its Buildpack API %s is deprecated in lifecycle %s", m.API, l.Version)
			default:
				continue
			}
			v.add(f)
		}
	}
}

// used returns the modules that the orders of the builder reach.
func (v *verifier) used() map[module]bool {
	used := map[module]bool{}
	var named []flatten.Ref
	finder := v.plain[flatten.Buildpack].Finder()
	follow := func(entries []flatten.Entry) {
		for _, e := range entries {
			if found := finder.Find(e); len(found) == 1 {
				named = append(named, found[0])
			}
		}
	}
	follow(v.builder.Entries())
	reached := map[flatten.Ref]bool{}
	for len(named) > 0 {
		r := named[len(named)-1]
		named = named[:len(named)-1]
		if reached[r] {
			continue
		}
		reached[r], used[module{flatten.Buildpack, r}] = true, true
		follow(v.plain[flatten.Buildpack][r].Order.Entries())
	}
	extensions := v.plain[flatten.Extension].Finder()
	for _, e := range v.builder.OrderExtensions.Entries() {
		if found := extensions.Find(e); len(found) == 1 {
			used[module{flatten.Extension, found[0]}] = true
		}
	}
	return used
}
