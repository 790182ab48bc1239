package verify

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"laminate/flatten"
	"laminate/flatten/layer"
)

// directories reports the directories of modules that a layer lacks, and those that no label names.
func (v *verifier) directories(i int) {
	r := v.reads[i]
	if !r.ok {
		return
	}
	for _, kind := range kinds {
		for _, ref := range v.byLayer[i][kind] {
			m := module{kind, ref}
			if v.dirs[m.dir()] != m || slices.Contains(r.holds, m) {
				continue
			}
			message := fmt.Sprintf("label %s has it in this layer, but %s is not there", kind.LayersLabelKey(), m.dir())
			if at := slices.IndexFunc(v.reads, func(o *read) bool { return slices.Contains(o.holds, m) }); at >= 0 {
				message += fmt.Sprintf("; it is in layer %d", at+1)
			}
			v.add(Finding{Severity: Broken, What: Missing, Layer: i + 1, Ref: ref.String(), Message: message})
		}
	}
	v.unlabelled(i)
}

// unlabelled reports the directories of a layer that no label names and that no whiteout hides. A
// buildpackage of laminate may have them: layers that are kept as packaged, which laminate's label
// then describes.
func (v *verifier) unlabelled(i int) {
	if len(v.dirs) == 0 {
		return
	}
	r := v.reads[i]
	for _, dir := range r.others {
		if v.hiddenAbove(i, dir) {
			continue
		}
		f := Finding{Severity: Broken, What: Unlabelled, Layer: i + 1, Message: dir + " is in no label"}
		for _, kind := range kinds {
			for _, said := range v.img.Contents()[i].Facts {
				if kind.Dir(said.Ref) == dir {
					f.Severity, f.Ref, f.Message = Note, said.Ref.String(), fmt.Sprintf("unused: it is in the layer (%d bytes), and in no label of modules", said.Length)
				}
			}
		}
		v.add(f)
	}
	if r.more > 0 {
		v.add(Finding{Severity: Broken, What: Unlabelled, Layer: i + 1, Message: fmt.Sprintf("%d more directories are in no label", r.more)})
	}
}

// hides reports whether a whiteout hides a path of lower layers, and whether it hides something
// below the path.
func hides(whiteout, name string) (all, below bool) {
	dir, base := path.Split(whiteout)
	if base == ".wh..wh..opq" {
		return strings.HasPrefix(name, dir), strings.HasPrefix(dir, name+"/")
	}
	hidden := dir + strings.TrimPrefix(base, ".wh.")
	return strings.HasPrefix(name+"/", hidden+"/"), strings.HasPrefix(hidden, name+"/")
}

// hiddenAbove reports whether a layer above the i-th hides what that has at the path.
func (v *verifier) hiddenAbove(i int, name string) bool {
	for _, r := range v.reads[i+1:] {
		for _, w := range r.whiteouts {
			if all, _ := hides(w, name); all {
				return true
			}
		}
	}
	return false
}

// modules checks, for each module, that its directory is in one layer only, or hidden in the others.
func (v *verifier) modules(ctx context.Context) error {
	holders := map[module][]int{}
	for i, r := range v.reads {
		for _, m := range r.holds {
			holders[m] = append(holders[m], i)
		}
	}
	for _, m := range slices.SortedFunc(maps.Keys(v.parts), module.compare) {
		p := v.parts[m]
		p.facts = v.reads[p.layer].pieces[m]
		v.parts[m] = p
		if v.dirs[m.dir()] != m || !slices.Contains(holders[m], p.layer) {
			continue // reported
		}
		v.hidden(m, p.layer)
		for _, i := range holders[m] {
			if i == p.layer || v.hiddenAbove(i, m.dir()) {
				continue
			}
			if err := v.twice(ctx, m, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// hidden reports that layers above the i-th hide a module or a part of it.
func (v *verifier) hidden(m module, i int) {
	for above, r := range v.reads {
		if above <= i {
			continue
		}
		for _, w := range r.whiteouts {
			all, below := hides(w, m.dir())
			f := Finding{Severity: Broken, What: Hidden, Layer: above + 1, Ref: m.ref.String()}
			switch {
			case all:
				f.Message = fmt.Sprintf("the layer removes it: label %s has it in layer %d", m.kind.LayersLabelKey(), i+1)
			case below:
				f.Message = fmt.Sprintf("the layer removes a part of it: %s", w)
			default:
				continue
			}
			v.add(f)
			break
		}
	}
}

// twice reports that the i-th layer holds a module which the label has in another.
func (v *verifier) twice(ctx context.Context, m module, i int) error {
	p := v.parts[m]
	f := Finding{Severity: Broken, What: TwoLayers, Layer: i + 1, Ref: m.ref.String(),
		Message: fmt.Sprintf("%s is in this layer and in layer %d, which the label names, with different content", m.dir(), p.layer+1)}
	other, known := v.reads[i].pieces[m]
	if !known && p.facts.ContentID.Hex != "" && !slices.Contains(v.reads[i].again, m.kind) {
		v.reads[i].again = append(v.reads[i].again, m.kind)
		refs := []flatten.Ref{}
		for _, o := range v.reads[i].holds {
			if o.kind == m.kind {
				refs = append(refs, o.ref)
			}
		}
		report, err := layer.Inspect(ctx, m.kind, refs, v.img.Contents()[i].Open)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			for _, piece := range report.Pieces {
				v.reads[i].pieces[module{m.kind, piece.Ref}] = piece
			}
			other = v.reads[i].pieces[m]
		}
	}
	if other.ContentID == p.facts.ContentID && other.ContentID.Hex != "" {
		f.Severity = Note
		f.Message = fmt.Sprintf("%s is in this layer and in layer %d, which the label names, with the same content: %d bytes too many", m.dir(), p.layer+1, other.Length)
	}
	v.add(f)
	return nil
}
