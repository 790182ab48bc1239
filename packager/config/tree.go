package config

import (
	"fmt"

	"github.com/pelletier/go-toml/v2/unstable"
)

// treeReader builds a tree of nodes from the expressions of a file. It does not check for duplicate
// keys.
type treeReader struct {
	root    *node
	tooMuch *node  // the first node beyond a limit; reading stops there
	limit   string // the limit, as a message
	err     error  // of the parser
}

func (r *treeReader) read(data []byte) {
	var p unstable.Parser
	p.Reset(data)
	table := r.root
	for r.tooMuch == nil && p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table:
			table = r.follow(r.root, e.Key(), unstable.Table)
		case unstable.ArrayTable:
			array := r.follow(r.root, e.Key(), unstable.Array)
			table = r.element(array, keyOffset(e), unstable.Table)
		case unstable.KeyValue:
			r.set(table, e)
		}
	}
	r.err = p.Error()
}

// set adds a key and its value to the table.
func (r *treeReader) set(table *node, keyValue *unstable.Node) {
	n := r.follow(table, keyValue.Key(), unstable.Invalid)
	r.fill(n, keyValue.Value())
}

// fill sets n to the value, recursively.
func (r *treeReader) fill(n *node, value *unstable.Node) {
	n.kind = value.Kind
	switch value.Kind {
	case unstable.InlineTable:
		n.kind = unstable.Table
		for it := value.Children(); r.tooMuch == nil && it.Next(); {
			r.set(n, it.Node())
		}
	case unstable.Array:
		for it := value.Children(); r.tooMuch == nil && it.Next(); {
			offset := n.offset // an array in an array has no position of its own
			if it.Node().Raw.Length > 0 {
				offset = int(it.Node().Raw.Offset)
			}
			r.fill(r.element(n, offset, unstable.Invalid), it.Node())
		}
	case unstable.String, unstable.Bool, unstable.Integer:
		n.text = string(value.Data)
		n.start = int(value.Raw.Offset)
		n.end = n.start + int(value.Raw.Length)
	}
}

// follow walks down from n along a dotted key, through the last element of an array of tables. It
// creates missing tables, and a missing last node of the kind last.
func (r *treeReader) follow(n *node, key unstable.Iterator, last unstable.Kind) *node {
	for key.Next() && r.tooMuch == nil {
		n = n.table(r)
		name, offset := string(key.Node().Data), int(key.Node().Raw.Offset)
		next := n.below[name]
		if next == nil {
			kind := unstable.Table
			if key.IsLast() {
				kind = last
			}
			next = r.node(kind, offset, n)
			if n.below == nil {
				n.below = make(map[string]*node)
			}
			n.below[name] = next
			n.keys = append(n.keys, name)
		}
		n = next
	}
	return n
}

// table returns n, or its last element if n is an array of tables.
func (n *node) table(r *treeReader) *node {
	switch {
	case n.kind != unstable.Array:
		return n
	case len(n.elems) == 0:
		return r.element(n, n.offset, unstable.Table)
	}
	return n.elems[len(n.elems)-1]
}

func (r *treeReader) element(array *node, offset int, kind unstable.Kind) *node {
	e := r.node(kind, offset, array)
	e.element = true
	array.elems = append(array.elems, e)
	return e
}

func (r *treeReader) node(kind unstable.Kind, offset int, parent *node) *node {
	n := &node{kind: kind, offset: offset, depth: parent.depth + 1}
	switch {
	case r.tooMuch != nil:
	case n.depth > maxDepth:
		r.tooMuch, r.limit = n, fmt.Sprintf("tables and arrays are nested too deeply; the limit is %d", maxDepth)
	case len(parent.keys) >= maxKeys:
		r.tooMuch, r.limit = n, fmt.Sprintf("too many keys in a table; the limit is %d", maxKeys)
	}
	return n
}

// keyOffset returns the offset of the last part of the expression's key.
func keyOffset(e *unstable.Node) int {
	offset := 0
	for key := e.Key(); key.Next(); {
		offset = int(key.Node().Raw.Offset)
	}
	return offset
}
