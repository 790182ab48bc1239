package config

import (
	"fmt"

	"github.com/pelletier/go-toml/v2/unstable"
)

// treeReader makes a tree of nodes from the expressions of a file. It trusts
// that every key stands once: a file where that is not so gives some tree.
type treeReader struct {
	root    *node
	tooMuch *node  // the first node beyond a limit; nothing is read after it
	limit   string // the limit, as a message
	err     error  // what the parser could not read
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

// set puts a key and its value in the table.
func (r *treeReader) set(table *node, keyValue *unstable.Node) {
	n := r.follow(table, keyValue.Key(), unstable.Invalid)
	r.fill(n, keyValue.Value())
}

// fill returns n the value, with all that is in it.
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
			offset := n.offset // an array in an array has no place of its own
			if it.Node().Raw.Length > 0 {
				offset = int(it.Node().Raw.Offset)
			}
			r.fill(r.element(n, offset, unstable.Invalid), it.Node())
		}
	case unstable.String, unstable.Bool:
		n.text = string(value.Data)
	}
}

// follow walks down from n along a dotted key, through the last element of an
// array of tables, and makes what is not there: tables, and a last node of the
// kind last.
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

// table is the table that a key names: n, or its last element where n is an
// array of tables.
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
		r.tooMuch, r.limit = n, fmt.Sprintf("tables and arrays are nested more than %d deep", maxDepth)
	case len(parent.keys) >= maxKeys:
		r.tooMuch, r.limit = n, fmt.Sprintf("a table has more than %d keys", maxKeys)
	}
	return n
}

// keyOffset is where the last part of the expression's key begins.
func keyOffset(e *unstable.Node) int {
	offset := 0
	for key := e.Key(); key.Next(); {
		offset = int(key.Node().Raw.Offset)
	}
	return offset
}
