package config

import (
	"bytes"
	"sort"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Text is a string in a file, and its place.
type Text struct {
	Value string
	// Start and End are the offsets of the value in the file, with its quotes.
	Start, End int
	// Line and LastLine count from 1. They differ if the string has several lines.
	Line, LastLine int

	raw string // as it is written
}

// Text returns the string at the path (see [Doc.Has]), or false if there is no string.
func (d Doc) Text(path ...any) (Text, bool) {
	n, rest := d.find(path)
	if n == nil || rest > 0 || n.kind != unstable.String || n.end == 0 {
		return Text{}, false
	}
	return Text{
		Value: n.text, Start: n.start + d.mark, End: n.end + d.mark,
		Line: d.line(n.start), LastLine: d.line(n.end - 1), raw: string(d.data[n.start:n.end]),
	}, true
}

// Len returns the number of elements of the array at the path, or 0 if there is no array.
func (d Doc) Len(path ...any) int {
	n, rest := d.find(path)
	if n == nil || rest > 0 {
		return 0
	}
	return len(n.elems)
}

// line returns the line of an offset in d.data.
func (d Doc) line(offset int) int { return sort.SearchInts(d.newlines, offset) + 1 }

// LineEnd returns the offset at which a line ends in the file, before its line break.
func (d Doc) LineEnd(line int) int {
	end := len(d.data)
	if line <= len(d.newlines) {
		end = d.newlines[line-1]
	}
	if end > 0 && d.data[end-1] == '\r' {
		end--
	}
	return end + d.mark
}

// Comment is a comment in a file.
type Comment struct {
	// Text begins with "#", and has no line break.
	Text string
	// Start is the offset of the "#" in the file.
	Start int
	Line  int
	// Alone means that the comment has its line for itself.
	Alone bool
}

// Comments returns all comments of the file, in order.
func (d Doc) Comments() []Comment {
	var all []Comment
	p := unstable.Parser{KeepComments: true}
	p.Reset(d.data)
	for d.root != nil && p.NextExpression() {
		for n := p.Expression(); n.Valid(); n = n.Next() { // a comment at the end of the line is the next node
			all = d.commentsIn(n, all)
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].Start < all[j].Start })
	return all
}

// commentsIn adds the comments in a node, which may be in arrays.
func (d Doc) commentsIn(n *unstable.Node, all []Comment) []Comment {
	if n.Kind == unstable.Comment {
		start := int(n.Raw.Offset)
		line := d.line(start)
		begin := 0
		if line > 1 {
			begin = d.newlines[line-2] + 1
		}
		all = append(all, Comment{
			Text: string(bytes.TrimSuffix(n.Data, []byte("\r"))), Start: start + d.mark, Line: line,
			Alone: len(bytes.TrimSpace(d.data[begin:start])) == 0,
		})
	}
	for it := n.Children(); it.Next(); {
		all = d.commentsIn(it.Node(), all)
	}
	return all
}
