package diff

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
)

// change returns how one value replaces another, which differs.
func change(had, has bool) string {
	switch {
	case !had:
		return Added
	case !has:
		return Removed
	}
	return Changed
}

// compareValues compares what an image has one of.
func compareValues(o, n *side) []Value {
	values := []Value{}
	new := n.values()
	for i, v := range o.values() {
		if from, to := v[1], new[i][1]; from != to {
			values = append(values, Value{Name: v[0], Change: change(from != "", to != ""), From: from, To: to})
		}
	}
	return values
}

// values are names and values, always the same names. An empty value is absent.
func (s *side) values() [][2]string {
	c, labels := s.Config.Config, s.Config.Config.Labels
	distro := strings.Trim(labels[flatten.DistroNameLabel]+"@"+labels[flatten.DistroVersionLabel], "@")
	m := s.metadata
	description := s.builder.Description
	if m.ID != "" {
		description = m.Description
	}
	created := ""
	if t := s.Config.Created.Time; !t.IsZero() {
		created = t.UTC().Format(time.RFC3339)
	}
	mediaType := ""
	if s.Stored() {
		if t, err := s.MediaType(); err == nil {
			mediaType = string(t)
		}
	}
	return [][2]string{
		{"kind", s.about.Kind}, {"platform", s.about.Target}, {"OS version", s.Config.OSVersion},
		{"buildpackage", s.about.Ref}, {"name", m.Name}, {"description", description}, {"homepage", m.Homepage},
		{"lifecycle", s.builder.Lifecycle.Version}, {"stack", labels[flatten.StackIDLabel]}, {"distribution", distro},
		{"created by", strings.TrimSpace(s.builder.CreatedBy.Name + " " + s.builder.CreatedBy.Version)},
		{"user", c.User}, {"working directory", c.WorkingDir}, {"entrypoint", command(c.Entrypoint)}, {"command", command(c.Cmd)},
		{"created", created}, {"media type", mediaType},
	}
}

// command returns a command line as JSON, as Dockerfiles have it.
func command(words []string) string {
	if len(words) == 0 {
		return ""
	}
	text, err := json.Marshal(words)
	if err != nil {
		return strings.Join(words, " ") // cannot be
	}
	return string(text)
}

// compareLists compares what an image has several of.
func compareLists(o, n *side) []List {
	lists := []List{}
	old, new := o.lists(), n.lists()
	for _, name := range slices.Concat(old.names, slices.DeleteFunc(new.names, func(name string) bool { return old.of[name] != nil })) {
		if l := compareList(name, old.of[name], new.of[name]); l.differs() {
			lists = append(lists, l)
		}
	}
	return lists
}

// named are lists by name.
type named struct {
	names []string
	of    map[string][]string
}

func (l *named) add(name string, list []string) {
	if l.of[name] == nil {
		l.names = append(l.names, name)
		l.of[name] = []string{}
	}
	l.of[name] = append(l.of[name], list...)
}

func (s *side) lists() named {
	l := named{of: map[string][]string{}}
	b := s.builder
	images := b.RunImages
	if len(images) == 0 && b.Stack.RunImage.Image != "" {
		images = []flatten.RunImage{b.Stack.RunImage}
	}
	l.add("run images", nil)
	for _, i := range images {
		l.add("run images", []string{i.Image})
	}
	for _, i := range images {
		l.add("mirrors of "+i.Image, i.Mirrors)
	}
	apis := b.Lifecycle.APIs
	l.add("Buildpack APIs", apis.Buildpack.Supported)
	l.add("deprecated Buildpack APIs", apis.Buildpack.Deprecated)
	l.add("Platform APIs", apis.Platform.Supported)
	l.add("deprecated Platform APIs", apis.Platform.Deprecated)
	var stacks, licenses []string
	for _, stack := range s.metadata.Stacks {
		stacks = append(stacks, strings.Join(append([]string{stack.ID}, stack.Mixins...), " "))
	}
	for _, license := range s.metadata.Licenses {
		licenses = append(licenses, strings.TrimSpace(license.Type+" "+license.URI))
	}
	l.add("stacks", stacks)
	l.add("keywords", s.metadata.Keywords)
	l.add("licenses", licenses)
	return l
}

// compareEnv compares the environments. The last of several values counts.
func compareEnv(o, n *side) []Value {
	parse := func(env []string) map[string]string {
		all := map[string]string{}
		for _, e := range env {
			name, value, _ := strings.Cut(e, "=")
			all[name] = value
		}
		return all
	}
	values := []Value{}
	old, new := parse(o.Config.Config.Env), parse(n.Config.Config.Env)
	for _, name := range union(old, new) {
		from, had := old[name]
		to, has := new[name]
		if had != has || from != to {
			values = append(values, Value{Name: name, Change: change(had, has), From: from, To: to})
		}
	}
	return values
}

// union returns the keys of both maps, sorted.
func union[V any](a, b map[string]V) []string {
	keys := map[string]bool{}
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	return slices.Sorted(maps.Keys(keys))
}

// covered are the labels whose content the rest of a Diff describes; of the labels of layers, see
// [Diff.uncover].
var covered = []string{
	flatten.BuildpackLayersLabel, flatten.ExtensionLayersLabel, flatten.RecipesLabelKey, flatten.OrderLabel,
	flatten.OrderExtensionsLabel, flatten.SystemLabel, flatten.StackIDLabel, flatten.DistroNameLabel, flatten.DistroVersionLabel,
}

const (
	// shortValue is the most bytes of a label that is printed as it is.
	shortValue = 200
	// keysLimit is the most keys that are listed for a label, and parsedLimit the most bytes of a
	// label that is parsed for them.
	keysLimit, parsedLimit = 50, 1 << 20
)

// compareLabels compares the labels.
func compareLabels(old, new map[string]string) []Label {
	labels := []Label{}
	for _, key := range union(old, new) {
		from, had := old[key]
		to, has := new[key]
		if had == has && from == to {
			continue
		}
		l := Label{Key: key, Change: change(had, has), Keys: []string{}, OldBytes: len(from), NewBytes: len(to), Covered: slices.Contains(covered, key)}
		if !isJSON(from) && !isJSON(to) && max(len(from), len(to)) <= shortValue {
			l.From, l.To = from, to
		}
		if l.Change == Changed && key != flatten.RecipesLabelKey { // whose keys are hashes
			l.Keys = changedKeys(from, to)
		}
		l.limitKeys()
		labels = append(labels, l)
	}
	return labels
}

func (l *Label) limitKeys() {
	if more := len(l.Keys) - keysLimit; more > 0 {
		l.Keys, l.MoreKeys = l.Keys[:keysLimit], more
	}
}

// uncover finds the modules of which the layers label has another API, name, homepage, order, or
// other stacks or targets, while nothing else in d says so: a label that is about them counts as not
// covered, and has their refs as keys.
func (d *Diff) uncover(o, n *side) {
	known := map[moduleKey]bool{}
	for _, m := range d.Modules {
		if m.Change == Rebuilt {
			known[moduleKey{flatten.Kind(m.Kind), flatten.Ref{ID: m.ID, Version: m.To}}] = true
		}
	}
	for i := range d.Labels {
		l := &d.Labels[i]
		var refs []string
		for k, m := range n.modules {
			if old := o.modules[k]; l.Key == k.kind.LayersLabelKey() && old != nil && !known[k] && !sameLabel(old.Module.Module, m.Module.Module) {
				refs = append(refs, k.String())
			}
		}
		if len(refs) > 0 {
			slices.Sort(refs)
			l.Covered, l.Keys, l.MoreKeys = false, refs, 0
			l.limitKeys()
		}
	}
}

// sameLabel reports whether a layers label says the same of two modules, but for their layers.
func sameLabel(a, b flatten.Module) bool {
	encode := func(m flatten.Module) []byte {
		label := flatten.LayersLabel{}
		label.Add(m, v1.Hash{})
		text, err := json.Marshal(label)
		if err != nil {
			return nil // cannot be
		}
		return text
	}
	return bytes.Equal(encode(a), encode(b))
}

// isJSON reports whether a value looks like a JSON object or array.
func isJSON(value string) bool {
	value = strings.TrimSpace(value)
	return strings.HasPrefix(value, "{") || strings.HasPrefix(value, "[")
}

// changedKeys returns the keys of two JSON objects whose values differ, sorted; none if one of the
// two is no object.
func changedKeys(old, new string) []string {
	changed := []string{}
	if max(len(old), len(new)) > parsedLimit {
		return changed
	}
	var from, to map[string]json.RawMessage
	if json.Unmarshal([]byte(old), &from) != nil || json.Unmarshal([]byte(new), &to) != nil {
		return changed
	}
	for _, key := range union(from, to) {
		if !bytes.Equal(compact(from[key]), compact(to[key])) {
			changed = append(changed, key)
		}
	}
	return changed
}

func compact(value json.RawMessage) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, value); err != nil { // absent
		return nil
	}
	return b.Bytes()
}
