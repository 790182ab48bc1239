package inspect

import (
	"slices"
	"strings"
	"unicode/utf8"

	"laminate/flatten"
	"laminate/packager/image"
)

// trailerSize is the length of the end of an archive.
const trailerSize = 1024

// layers describes the layers.
func (d *description) layers() error {
	contents, history := d.of.Contents(), d.history()
	d.Layers = make([]Layer, len(contents))
	for i, l := range contents {
		one := Layer{Number: i + 1, DiffID: l.Diff.String(), Bytes: length(l), Refs: []string{}, Part: OtherPart}
		if l.Stored {
			blob, err := l.Descriptor()
			if err != nil {
				return err
			}
			one.Digest, one.CompressedBytes = blob.Digest.String(), &blob.Size
		}
		for _, r := range l.Refs {
			one.Refs = append(one.Refs, r.String())
		}
		d.Layers[i] = one
	}
	d.partition(history)
	return nil
}

// length returns the length of a layer's tar if laminate's label has it. The length of a piece
// includes the entry of its id directory, of which pieces that share one have a single entry;
// nothing says how long that is.
func length(l *image.Layer) *int64 {
	sum := int64(trailerSize)
	var refs []flatten.Ref
	for _, f := range l.Facts {
		sum += f.Length
		refs = append(refs, f.Ref)
	}
	slices.SortFunc(refs, flatten.Ref.Compare)
	if len(refs) == 0 || !slices.Equal(refs, l.Refs) || flatten.ShareIDDir(refs) || sum < 0 {
		return nil
	}
	return &sum
}

// history returns what the history says of each layer, or empty texts if it does not match the
// layers.
func (d *description) history() []string {
	var texts []string
	for _, h := range d.of.Config.History {
		if !h.EmptyLayer {
			texts = append(texts, clip(strings.TrimSpace(h.CreatedBy)))
		}
	}
	if len(texts) != len(d.of.Contents()) {
		return make([]string, len(d.of.Contents()))
	}
	return texts
}

// clip shortens what a history says; a command may have any length.
func clip(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// partition says what each layer is for.
func (d *description) partition(history []string) {
	switch {
	case d.App != nil:
		d.partitionApp(history)
		return
	case d.Builder != nil:
		d.partitionBuilder(history)
	default:
		for i := range d.Layers {
			d.Layers[i].Holds = strings.TrimPrefix(history[i], ours)
		}
	}
	for _, m := range d.Modules {
		l := &d.Layers[m.Layer-1]
		l.Holds = ""
		if l.Part = ExtensionsPart; m.Kind == string(flatten.Buildpack) {
			l.Part = BuildpacksPart
		}
	}
	if d.CreatedBy == nil && slices.ContainsFunc(history, func(h string) bool { return strings.HasPrefix(h, ours) }) {
		d.CreatedBy = &Tool{Name: "laminate"}
	}
}

// ours begins what laminate writes to the history.
const ours = "laminate: "

// packs is the name by which pack calls itself in the metadata of a builder.
const packs = "Pack CLI"

// partitionBuilder says what the layers of a builder are for that hold no modules. Laminate writes
// that to the history. Pack writes nothing there, but always has directories and the lifecycle below
// the buildpacks, and the rest of the configuration above them.
func (d *description) partitionBuilder(history []string) {
	first, last := len(d.Layers), -1
	for i, l := range d.Layers {
		if len(l.Refs) > 0 {
			first, last = min(first, i), i
		}
	}
	byPack := d.CreatedBy != nil && d.CreatedBy.Name == packs && last >= 0
	for i := range d.Layers {
		l := &d.Layers[i]
		text, isOurs := strings.CutPrefix(history[i], ours)
		l.Part, l.Holds = BuildImagePart, text
		switch {
		case isOurs && strings.HasPrefix(text, "lifecycle"):
			l.Part = LifecyclePart
		case isOurs, byPack && i > last:
			l.Part = ConfigurationPart
		case byPack && i == first-1 && text == "":
			l.Part, l.Holds = LifecyclePart, strings.TrimSpace("lifecycle "+d.Builder.Lifecycle.Version)
		case byPack && i == first-2 && text == "":
			l.Part, l.Holds = ConfigurationPart, "directories"
		}
	}
}
