package ownership

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// root is the directory of layers in a build.
const root = "/layers"

// Lifecycle is the owner of the directories in which the lifecycle keeps its own layers.
const Lifecycle = "buildpacksio/lifecycle"

// LifecycleDirs are the names of these directories. The lifecycle writes to them when all turns are over.
func LifecycleDirs() []string { return []string{"config", "sbom"} }

func lifecycleDir(name string) bool { return slices.Contains(LifecycleDirs(), name) }

// maxWrites is how many writes are kept.
const maxWrites = 10_000

// Turns are the turns of the buildpacks in one build. It is not for concurrent use.
type Turns struct {
	reading *reading
	owners  map[string]string // ids by the names of their directories
	last    *node             // the look before the current turn
	current string            // the directory of the current turn's buildpack, or ""
	writes  []Write
	more    int // writes above maxWrites
	err     error
}

// New returns the turns of a build with the layers in dir. ids are those of the buildpacks that can
// take part, and own directories in it. The caller calls [Turns.End].
func New(dir string, ids []string) (*Turns, error) {
	r, err := open(dir)
	if err != nil {
		return nil, err
	}
	t := &Turns{reading: r, owners: map[string]string{}}
	for _, id := range ids {
		t.owners[directory(id)] = id
	}
	for _, name := range LifecycleDirs() {
		t.owners[name] = Lifecycle
	}
	return t, nil
}

// directory returns the name of a buildpack's directory (buildpack spec, "layers directory").
func directory(id string) string { return strings.ReplaceAll(id, "/", "_") }

// Begin says that a buildpack's turn begins, and so that the one before has ended. The buildpack has to
// wait meanwhile. id is the buildpack's id, or the name of its directory.
func (t *Turns) Begin(id string) {
	if t.err != nil {
		return
	}
	next := directory(id)
	if t.owners[next] == "" {
		t.owners[next] = id
	}
	if t.look(next); t.err != nil {
		return
	}
	t.current = next
	for name := range t.owners {
		if dir := t.last.children[name]; dir != nil && name != next {
			t.reading.read(name, dir)
		}
	}
}

// End looks for the last time, after the lifecycle has ended, and returns all writes, sorted. With an
// error these are not all: the layers could not be read.
func (t *Turns) End() ([]Write, error) {
	defer t.reading.close()
	if t.err == nil && t.current != "" {
		t.look("")
	}
	if t.err == nil && t.more > 0 {
		t.err = fmt.Errorf("layers: %d changes more than %d, the limit", t.more, maxWrites)
	}
	slices.SortStableFunc(t.writes, func(a, b Write) int {
		return cmp.Or(cmp.Compare(a.Buildpack, b.Buildpack), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Change, b.Change))
	})
	return t.writes, t.err
}

// look looks at the layers and compares them with the look before. next is the directory that the
// lifecycle has made meanwhile, for the next turn.
func (t *Turns) look(next string) {
	now, err := t.reading.look(t.last)
	if err != nil {
		t.err = err
		return
	}
	was := t.last
	if t.last = now; t.current == "" {
		return
	}
	for name, id := range t.owners {
		// Between turns the lifecycle writes nothing of its own; after the last one it does.
		if name != t.current && (next != "" || id != Lifecycle) {
			t.compare(name, id, was.children[name], now.children[name], name == next)
		}
	}
}

// compare compares an owner's directory with what it was.
func (t *Turns) compare(name, id string, was, is *node, made bool) {
	if was == nil && made && is != nil && is.isDir() {
		was = &node{facts: is.facts}
	}
	by := compare{t.reading, func(at string, c Change) {
		if len(t.writes) == maxWrites {
			t.more++
			return
		}
		_, below, _ := strings.Cut(at, "/")
		t.writes = append(t.writes, Write{
			Buildpack: t.owners[t.current], Owner: id, Layer: layerOf(name, below), Path: path.Join(root, at), Change: c,
		})
	}}
	switch {
	case was == nil && is == nil:
	case was == nil:
		by.found(name, Added)
	case is == nil:
		by.found(name, Removed)
	default:
		by.entry(name, was, is)
	}
}
