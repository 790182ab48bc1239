package rootfs_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// model is a root file system in memory: the specification that Unpack is held to.
type model struct {
	root  *node
	layer int
}

// node is a file, a directory or a link. A slot is a name of one, and the layer that made it.
type node struct {
	kind     byte // tar.TypeReg, TypeDir or TypeSymlink
	mode     int64
	time     int64
	text     string // content or target
	children map[string]*slot
	up       *node
}

type slot struct {
	*node
	layer int
}

var errModel = errors.New("refused")

func newModel() *model {
	return &model{root: &node{kind: tar.TypeDir, mode: 0o755, children: map[string]*slot{}}}
}

// clone copies the model. Names of one file stay names of one file.
func (m *model) clone() *model {
	copies := map[*node]*node{}
	var of func(*node, *node) *node
	of = func(n, up *node) *node {
		if c := copies[n]; c != nil {
			return c
		}
		c := *n
		c.up = up
		copies[n] = &c
		if n.children != nil {
			c.children = map[string]*slot{}
			for name, s := range n.children {
				c.children[name] = &slot{of(s.node, &c), s.layer}
			}
		}
		return &c
	}
	return &model{of(m.root, nil), m.layer}
}

func components(p string) []string {
	return slices.DeleteFunc(strings.Split(p, "/"), func(s string) bool { return s == "" || s == "." })
}

// walk resolves a path to a directory, like a kernel whose root is the model's.
func (m *model) walk(at *node, p string, create bool, links *int) (*node, error) {
	for _, name := range components(p) {
		if name == ".." {
			if at.up != nil {
				at = at.up
			}
			continue
		}
		s := at.children[name]
		if s == nil {
			if !create {
				return nil, nil
			}
			s = &slot{&node{kind: tar.TypeDir, mode: 0o755, children: map[string]*slot{}, up: at}, m.layer}
			at.children[name] = s
		}
		switch s.kind {
		case tar.TypeDir:
			at = s.node
		case tar.TypeSymlink:
			if *links++; *links > 40 {
				return nil, errModel
			}
			from := at
			if strings.HasPrefix(s.text, "/") {
				from = m.root
			}
			next, err := m.walk(from, s.text, create, links)
			if next == nil || err != nil {
				return nil, err
			}
			at = next
		default:
			if create {
				return nil, errModel
			}
			return nil, nil
		}
	}
	return at, nil
}

// dir resolves the directory of a name; .. is resolved before links are, in names.
func (m *model) dir(name string, create bool) (*node, string, error) {
	p := path.Clean("/" + name)
	at := m.root
	parts := components(path.Dir(p))
	for _, c := range parts {
		links := 0
		next, err := m.walk(at, c, create, &links)
		if next == nil || err != nil {
			return nil, "", err
		}
		at = next
	}
	return at, path.Base(p), nil
}

// hide removes what lower layers have in a slot, and reports whether the slot stays.
func (m *model) hide(s *slot) bool {
	stays := s.layer == m.layer
	for name, c := range s.children {
		if m.hide(c) {
			stays = true
		} else {
			delete(s.children, name)
		}
	}
	return stays
}

// apply applies an entry of the current layer.
func (m *model) apply(e entry) error {
	p := path.Clean("/" + e.Name)
	if p == "/" {
		if e.Typeflag != tar.TypeDir {
			return errModel
		}
		m.root.mode, m.root.time = e.Mode&0o1777|0o700, e.ModTime.Unix()
		return nil
	}
	hidden, isWhiteout := strings.CutPrefix(path.Base(p), ".wh.")
	d, base, err := m.dir(e.Name, !isWhiteout)
	if isWhiteout {
		switch {
		case hidden == "" || hidden == "." || hidden == "..":
			return errModel
		case d == nil || err != nil:
			return err
		case hidden == ".wh..opq":
			m.hide(&slot{node: d, layer: m.layer})
		case d.children[hidden] != nil && !strings.HasPrefix(hidden, ".wh."):
			if !m.hide(d.children[hidden]) {
				delete(d.children, hidden)
			}
		}
		return nil
	}
	if err != nil {
		return err
	}
	n := &node{kind: e.Typeflag, mode: e.Mode & 0o777, time: e.ModTime.Unix(), text: e.Body, up: d}
	switch e.Typeflag {
	case tar.TypeReg:
	case tar.TypeSymlink:
		n.mode, n.text = 0, e.Linkname
	case tar.TypeLink:
		from, name, err := m.dir(e.Linkname, false)
		if err != nil || from == nil || from.children[name] == nil || from.children[name].kind == tar.TypeDir {
			return errModel
		}
		n = from.children[name].node
		if old := d.children[base]; old != nil && old.kind == tar.TypeDir && old.has(n) {
			return errModel // it would be removed first
		}
	case tar.TypeDir:
		n.mode, n.children = e.Mode&0o1777|0o700, map[string]*slot{}
		if old := d.children[base]; old != nil && old.kind == tar.TypeDir {
			old.mode, old.time = n.mode, n.time
			n = old.node
		}
	default:
		delete(d.children, base)
		return nil
	}
	d.children[base] = &slot{n, m.layer}
	return nil
}

// has reports whether a node is somewhere below another one.
func (n *node) has(other *node) bool {
	for _, s := range n.children {
		if s.node == other || s.has(other) {
			return true
		}
	}
	return false
}

// look describes the model as look does a directory.
func (m *model) look() map[string]string {
	all, first := map[string]string{}, map[*node]string{}
	var below func(string, *node)
	below = func(name string, n *node) {
		switch n.kind {
		case tar.TypeDir:
			all[name] = fmt.Sprintf("directory %o %d", withSticky(n.mode), n.time)
			for _, c := range slices.Sorted(maps.Keys(n.children)) {
				below(path.Join(name, c), n.children[c].node)
			}
		case tar.TypeSymlink:
			all[name] = fmt.Sprintf("link %q %d <nil>", n.text, n.time)
		default:
			if first[n] == "" {
				first[n] = name
			}
			all[name] = fmt.Sprintf("file %o %d %q %s <nil>", n.mode, n.time, n.text, first[n])
		}
	}
	below(".", m.root)
	return all
}
