package verify

import (
	"fmt"
	"slices"
	"strings"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/config"
)

// descriptors compares the descriptors in the layer with the layers label.
func (r *reading) descriptors(s layer.Surveyed) {
	for _, kind := range kinds {
		for _, ref := range r.byLayer[r.index][kind] {
			m := module{kind, ref}
			name := m.dir() + "/" + kind.Descriptor()
			content, isRead := s.Files[name]
			why, isThere := s.Unread[name]
			switch {
			case r.dirs[m.dir()] != m || !slices.Contains(r.holds, m):
				// reported
			case isRead:
				r.descriptor(m, content)
			case isThere:
				r.find(Note, Descriptor, ref.String(), "%s %s; it is not compared with the label", kind.Descriptor(), why)
			default:
				r.find(Broken, Descriptor, ref.String(), "%s is missing in its directory", kind.Descriptor())
			}
		}
	}
}

func (r *reading) descriptor(m module, content []byte) {
	file := m.kind.Descriptor()
	is, problems := config.ParseModule(m.kind, file, content)
	if err := problems.Err(); err != nil {
		for _, line := range strings.SplitN(err.Error(), "\n", 4)[:min(3, strings.Count(err.Error(), "\n")+1)] {
			r.find(Broken, Descriptor, m.ref.String(), "%s", line)
		}
		return
	}
	wrong, lacks := compare(r.parts[m].Module.Module, is.Module)
	for _, w := range wrong {
		r.find(Broken, Descriptor, m.ref.String(), "%s differs from the label: %s", file, w)
	}
	if len(lacks) > 0 {
		r.find(Note, Descriptor, m.ref.String(), "the label lacks what %s has: %s", file, strings.Join(lacks, ", "))
	}
}

// compare compares what a layers label says with the descriptor. Lacks are the keys that the label
// leaves out, as older tools do, and platforms do without.
func compare(label, is flatten.Module) (wrong, lacks []string) {
	differ := func(key, has, said string) {
		wrong = append(wrong, fmt.Sprintf("%s is %s, the label has %s", key, has, said))
	}
	text := func(key, has, said string, optional bool) {
		switch {
		case has == said:
		case optional && said == "":
			lacks = append(lacks, key)
		default:
			differ(key, fmt.Sprintf("%.60q", has), fmt.Sprintf("%.60q", said))
		}
	}
	text("id", is.Info.ID, label.Info.ID, false)
	text("version", is.Info.Version, label.Info.Version, false)
	text("api", is.API, label.API, false)
	text("name", is.Info.Name, label.Info.Name, true)
	text("homepage", is.Info.Homepage, label.Info.Homepage, true)
	if !slices.EqualFunc(is.Stacks, label.Stacks, func(a, b flatten.Stack) bool { return a.ID == b.ID && slices.Equal(a.Mixins, b.Mixins) }) {
		differ("stacks", list(is.Stacks, stackOf), list(label.Stacks, stackOf))
	}
	switch plain := func(t flatten.Target) string { t.Distros = nil; return t.String() }; {
	case slices.EqualFunc(is.Targets, label.Targets, func(a, b flatten.Target) bool { return a.String() == b.String() }):
	case len(label.Targets) == 0:
		lacks = append(lacks, "targets")
	case slices.EqualFunc(is.Targets, label.Targets, func(a, b flatten.Target) bool { return plain(a) == plain(b) && len(b.Distros) == 0 }):
		lacks = append(lacks, "distributions of targets")
	default:
		differ("targets", list(is.Targets, flatten.Target.String), list(label.Targets, flatten.Target.String))
	}
	if where := orderDiffers(is.Order, label.Order); where != "" {
		wrong = append(wrong, "order: "+where)
	}
	return wrong, lacks
}

func stackOf(s flatten.Stack) string {
	if len(s.Mixins) == 0 {
		return s.ID
	}
	return s.ID + " (" + strings.Join(s.Mixins, ", ") + ")"
}

// list formats a list; it abbreviates long ones.
func list[T any](all []T, format func(T) string) string {
	const most = 5
	if len(all) == 0 {
		return "none"
	}
	var s []string
	for _, one := range all[:min(most, len(all))] {
		s = append(s, fmt.Sprintf("%.60s", format(one)))
	}
	if n := len(all) - most; n > 0 {
		s = append(s, fmt.Sprintf("%d more", n))
	}
	return strings.Join(s, ", ")
}

// orderDiffers returns the first difference between the order in a file and that in a label, or "".
func orderDiffers(is, label flatten.Order) string {
	for i := range min(len(is), len(label)) {
		a, b := is[i].Entries, label[i].Entries
		for j := range min(len(a), len(b)) {
			if a[j].Ref() != b[j].Ref() || a[j].Optional != b[j].Optional {
				return fmt.Sprintf("group %d has %s, the label %s", i+1, entryOf(a[j]), entryOf(b[j]))
			}
		}
		if len(a) != len(b) {
			return fmt.Sprintf("group %d has %d entries, the label %d", i+1, len(a), len(b))
		}
	}
	if len(is) != len(label) {
		return fmt.Sprintf("%d groups, the label has %d", len(is), len(label))
	}
	return ""
}

func entryOf(e flatten.Entry) string {
	if e.Optional {
		return fmt.Sprintf("%.200s (optional)", e.Ref())
	}
	return fmt.Sprintf("%.200s", e.Ref())
}
