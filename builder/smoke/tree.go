package smoke

import (
	"archive/tar"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

const (
	// treeLimit is the maximum size of a tree: about the memory that it takes.
	treeLimit = 512 << 20
	// nodeSize is about the size of a node without its name.
	nodeSize = 200
	// linksLimit is how many symbolic links a path may lead through, as in Linux.
	linksLimit = 40
)

// tree is the root file system that the layers of an image make together, without contents. Layers
// are added from the lowest to the topmost.
type tree struct {
	root *node
	size int
}

// node is a file of any kind.
type node struct {
	typeflag byte // as in a tar; never a hard link, which is what it links to
	mode     int64
	layer    int    // that has the last entry of the path
	link     string // of a symbolic link
	content  blob   // of a regular file
	children map[string]*node
	cleared  int // the last layer whose whiteouts were applied to what is below
}

// blob names the content of a regular file: the entry of a layer.
type blob struct {
	layer int
	name  string
}

func newTree() *tree { return &tree{root: newDir(0)} }

func newDir(layer int) *node { return &node{typeflag: tar.TypeDir, mode: 0o755, layer: layer} }

// clean returns the absolute name of an entry. It leads nowhere out of the root.
func clean(name string) string { return path.Clean("/" + name) }

// parts returns the elements of a clean absolute name.
func parts(name string) []string {
	if name == "/" {
		return nil
	}
	return strings.Split(name[1:], "/")
}

// add adds an entry of a layer.
func (t *tree) add(h *tar.Header, layer int) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name := clean(h.Name)
	if t.size += nodeSize + len(name) + len(h.Linkname); t.size > treeLimit {
		return fmt.Errorf("too many files; their names are limited to %d MiB in total", treeLimit>>20)
	}
	dir, base := path.Split(name)
	if hidden, is := strings.CutPrefix(base, ".wh."); is {
		t.whiteout(clean(dir), hidden, layer)
		return nil
	}
	if name == "/" {
		t.root.mode = h.Mode
		return nil
	}
	parent, err := t.makeDir(clean(dir), layer)
	if err != nil {
		return err
	}
	if before := parent.children[base]; before != nil && before.typeflag == tar.TypeDir && h.Typeflag == tar.TypeDir {
		before.mode, before.layer = h.Mode, layer
		return nil
	}
	parent.set(base, t.node(h, name, layer))
	return nil
}

func (n *node) set(name string, child *node) {
	if n.children == nil {
		n.children = map[string]*node{}
	}
	n.children[name] = child
}

// node returns the node of an entry.
func (t *tree) node(h *tar.Header, name string, layer int) *node {
	if h.Typeflag != tar.TypeLink {
		return &node{typeflag: h.Typeflag, mode: h.Mode, layer: layer, link: h.Linkname, content: blob{layer, name}}
	}
	n := t.root
	for _, part := range parts(clean(h.Linkname)) {
		if n = n.children[part]; n == nil {
			return &node{typeflag: tar.TypeLink, layer: layer} // is like none
		}
	}
	linked := *n
	linked.layer, linked.children = layer, nil
	return &linked
}

// makeDir returns a directory, which it makes where a layer has no entry for it. Like Docker's
// engine, which unpacks every layer by itself, it replaces a link of a lower layer.
func (t *tree) makeDir(name string, layer int) (*node, error) {
	n := t.root
	for _, part := range parts(name) {
		next := n.children[part]
		if next == nil || next.typeflag != tar.TypeDir {
			if t.size += nodeSize; t.size > treeLimit {
				return nil, fmt.Errorf("too many directories; their names are limited to %d MiB in total", treeLimit>>20)
			}
			next = newDir(layer)
			n.set(part, next)
		}
		n = next
	}
	return n, nil
}

// whiteout removes what lower layers have at dir/hidden or, if the whiteout is opaque, below dir.
func (t *tree) whiteout(dir, hidden string, layer int) {
	n := t.root
	for _, part := range parts(dir) {
		if n = n.children[part]; n == nil {
			return
		}
	}
	switch child := n.children[hidden]; {
	case hidden == ".wh..opq":
		n.clear(layer)
	case child != nil && child.clear(layer):
		delete(n.children, hidden)
	}
}

// clear removes what lower layers have below n, and reports whether nothing is left, n included.
func (n *node) clear(layer int) bool {
	if n.cleared != layer {
		n.cleared = layer
		maps.DeleteFunc(n.children, func(_ string, child *node) bool { return child.clear(layer) })
	}
	return n.layer < layer && len(n.children) == 0
}

// find returns the node at a path, and follows symbolic links within the tree; nil if there is
// none.
func (t *tree) find(name string) *node {
	way := []*node{t.root}
	links := 0
	for rest := parts(clean(name)); len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		last := way[len(way)-1]
		switch {
		case part == "" || part == ".":
			continue
		case part == "..":
			way = way[:max(1, len(way)-1)]
			continue
		}
		next := last.children[part]
		switch {
		case next == nil || next.typeflag == tar.TypeLink:
			return nil
		case next.typeflag != tar.TypeSymlink:
			way = append(way, next)
			continue
		}
		if links++; links > linksLimit {
			return nil
		}
		if path.IsAbs(next.link) {
			way = way[:1]
		}
		rest = append(strings.Split(next.link, "/"), rest...)
	}
	return way[len(way)-1]
}

// beside returns the nearest directory above a path that exists, and the names in it, sorted.
func (t *tree) beside(name string) (dir string, names []string) {
	for dir = path.Dir(clean(name)); ; dir = path.Dir(dir) {
		if n := t.find(dir); n != nil && n.typeflag == tar.TypeDir {
			return dir, slices.Sorted(maps.Keys(n.children))
		}
		if dir == "/" {
			return dir, nil
		}
	}
}
