package config

import (
	"bytes"
	"errors"
	"fmt"
	"sort"
	"strings"
	"unicode"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

const (
	// MaxSize is the maximum size of a file in bytes.
	MaxSize = 1 << 20
	// maxDepth is how deep tables and arrays may be nested. The longest known path has five keys.
	maxDepth = 100
	// maxKeys is how many keys a table may have. go-toml's check for duplicates takes quadratic
	// time.
	maxKeys = 1024
	// byteOrderMark may be at the beginning of a file.
	byteOrderMark = "\ufeff"
)

// Doc is a parsed TOML file: its values and their positions. The zero value is an empty file.
type Doc struct {
	file     string
	root     *node
	newlines []int  // offsets in data
	data     []byte // without the byte order mark
	mark     int    // the length of the byte order mark
}

// node is a value of the file. Its kind is Table for every table and Array for every array,
// whatever their syntax.
type node struct {
	kind    unstable.Kind
	offset  int // of the key or, in an array, of the value
	start   int // of a String, with its quotes
	end     int
	depth   int
	element bool             // is in an array
	text    string           // of a String; "true" or "false" of a Bool; the digits of an Integer
	keys    []string         // of a Table, in the order of the file
	below   map[string]*node // of a Table
	elems   []*node          // of an Array
}

// Parse parses a TOML file; file is its name for messages. It refuses what the lifecycle cannot
// read. If there is a problem, it returns an empty Doc and that problem.
func Parse(file string, data []byte) (Doc, Problems) {
	d := Doc{file: file}
	if len(data) > MaxSize {
		return d, Problems{{File: file, Message: fmt.Sprintf("file is larger than %d KiB", MaxSize>>10)}}
	}
	d.mark = len(data)
	data = bytes.TrimPrefix(data, []byte(byteOrderMark))
	d.mark -= len(data)
	d.data = data
	for i, c := range data {
		if c == '\n' {
			d.newlines = append(d.newlines, i)
		}
	}
	r := treeReader{root: &node{kind: unstable.Table}}
	r.read(data)
	if r.tooMuch != nil {
		line, column := d.place(r.tooMuch)
		return d, Problems{{File: file, Line: line, Column: column, Message: r.limit}}
	}
	// The tree does not check for duplicate keys and invalid values. Decoding everything does.
	err := toml.Unmarshal(data, new(map[string]any))
	if err == nil {
		err = r.err
	}
	if err != nil {
		return d, Problems{d.syntax(err)}
	}
	if problems := d.checkLifecycle(data); problems != nil {
		return d, problems
	}
	d.root = r.root
	return d, nil
}

func (d Doc) syntax(err error) Problem {
	p := Problem{File: d.file, Message: printable(strings.TrimPrefix(err.Error(), "toml: "))}
	if at := (*toml.DecodeError)(nil); errors.As(err, &at) {
		p.Line, p.Column = at.Position()
	}
	return p
}

// Has reports whether there is a value at the path, which consists of keys and array indexes:
// Has("order", 0, "group").
func (d Doc) Has(path ...any) bool {
	return d.kind(path...) != unstable.Invalid
}

// Position returns the line and column of the value at the path (see [Doc.Has]), or of its nearest
// ancestor; 0, 0 for the file itself.
func (d Doc) Position(path ...any) (line, column int) {
	n, _ := d.find(path)
	return d.place(n)
}

// Problem returns an error at the position of the path (see [Doc.Position]).
func (d Doc) Problem(message string, path ...any) Problem {
	line, column := d.Position(path...)
	return Problem{File: d.file, Line: line, Column: column, Message: message}
}

// Warning is like Problem, but returns a warning.
func (d Doc) Warning(message string, path ...any) Problem {
	p := d.Problem(message, path...)
	p.Warning = true
	return p
}

// kind returns the kind of the value at the path, or Invalid if there is none. Decode has reported
// values of the wrong kind; they need no other check.
func (d Doc) kind(path ...any) unstable.Kind {
	n, rest := d.find(path)
	if n == nil || rest > 0 {
		return unstable.Invalid
	}
	return n.kind
}

// find follows the path as far as possible, and returns how many steps are left.
func (d Doc) find(path []any) (n *node, rest int) {
	n = d.root
	for i, step := range path {
		var next *node
		switch step := step.(type) {
		case string:
			if n != nil {
				next = n.below[step]
			}
		case int:
			if n != nil && step >= 0 && step < len(n.elems) {
				next = n.elems[step]
			}
		default:
			panic(fmt.Sprintf("config: a path has no steps of type %T", step))
		}
		if next == nil {
			return n, len(path) - i
		}
		n = next
	}
	return n, 0
}

func (d Doc) place(n *node) (line, column int) {
	if n == nil || n == d.root {
		return 0, 0
	}
	before := sort.SearchInts(d.newlines, n.offset)
	start := 0
	if before > 0 {
		start = d.newlines[before-1] + 1
	}
	return before + 1, n.offset - start + 1
}

// dotted formats the keys of the path, without indexes.
func dotted(path []any) string {
	var keys []string
	for _, step := range path {
		if key, ok := step.(string); ok {
			keys = append(keys, key)
		}
	}
	return strings.Join(keys, ".")
}

// printable replaces control characters.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// quote quotes a value of the file for a message.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return fmt.Sprintf("%q", s)
}
