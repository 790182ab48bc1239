package diff

import (
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/packager/image"
)

// compareLayers compares the layers, and counts what is pulled. A blob that occurs several times
// in NEW is pulled once.
func compareLayers(o, n *side) Layers {
	digests, diffIDs := map[v1.Hash]bool{}, map[v1.Hash]int{}
	for i, b := range o.layers {
		digests[b.digest] = true
		if diffIDs[b.diffID] == 0 {
			diffIDs[b.diffID] = i + 1
		}
	}
	stored := o.Stored() && n.Stored()
	l := Layers{All: []Layer{}}
	pull, prefix := newTally(), newTally()
	inPrefix := true
	for i, b := range n.layers {
		one := Layer{Number: i + 1, DiffID: b.diffID.String(), Bytes: b.bytes, Was: diffIDs[b.diffID], Refs: []string{}}
		if b.digest != (v1.Hash{}) {
			one.Digest = b.digest.String()
		}
		for _, r := range b.layer.Refs {
			one.Refs = append(one.Refs, r.String())
		}
		switch {
		case stored && digests[b.digest], !stored && one.Was > 0:
			one.State = Kept
			l.Kept++
		case one.Was > 0:
			one.State = Recompressed
			l.Recompressed++
		default:
			one.State = New
			l.New++
		}
		if one.State != Kept {
			pull.add(b)
		} else if !stored {
			pull.known = false // the blob may be another one
		}
		// Docker finds a layer by the digest that it pulled before, and by all diffIDs up to it.
		if inPrefix = inPrefix && one.State == Kept && i < len(o.layers) && o.layers[i].diffID == b.diffID; !inPrefix {
			prefix.add(b)
		}
		one.InPrefix = inPrefix
		l.All = append(l.All, one)
	}
	l.Pull, l.Prefix = pull.sum(), prefix.sum()
	theirs := map[v1.Hash]bool{}
	for _, b := range n.layers {
		theirs[b.diffID] = true
	}
	for _, b := range o.layers {
		if !theirs[b.diffID] {
			l.Dropped++
		}
	}
	l.Base = BaseLayers{Old: o.base(), New: n.base()}
	for _, one := range l.All[:l.Base.New] {
		if one.State != New {
			l.Base.Kept++
		}
	}
	return l
}

// tally counts blobs, each once.
type tally struct {
	seen  map[v1.Hash]bool
	bytes int64
	known bool
}

func newTally() *tally { return &tally{seen: map[v1.Hash]bool{}, known: true} }

func (t *tally) add(b blob) {
	if t.seen[b.key()] {
		return
	}
	t.seen[b.key()] = true
	if b.bytes == nil {
		t.known = false
		return
	}
	t.bytes += *b.bytes
}

func (t *tally) sum() Pull {
	p := Pull{Layers: len(t.seen)}
	if t.known {
		p.Bytes = &t.bytes
	}
	return p
}

// madeBy begins the history entries of the layers that laminate puts on a build image.
const madeBy = "laminate: "

// packs is the name by which pack calls itself in the metadata of a builder, and packsLayers how many
// layers it puts between the build image and the buildpacks: directories and the lifecycle.
const packs, packsLayers = "Pack CLI", 2

// base returns the number of layers of a builder's build image: those below the first that laminate
// or pack put there or, in builders of other tools, below the first that holds a module.
func (s *side) base() int {
	if s.Kind() != image.Builder {
		return 0
	}
	var history []v1.History
	for _, h := range s.Config.History {
		if !h.EmptyLayer {
			history = append(history, h)
		}
	}
	for i, b := range s.layers {
		switch {
		case len(b.layer.Refs) > 0 && s.builder.CreatedBy.Name == packs:
			return max(0, i-packsLayers)
		case len(b.layer.Refs) > 0, len(history) == len(s.layers) && strings.HasPrefix(history[i].CreatedBy, madeBy):
			return i
		}
	}
	return len(s.layers)
}
