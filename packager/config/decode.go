package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Unknown is how unknown keys are handled.
type Unknown bool

// Unknown keys are errors in files that are written for laminate, and warnings in others.
const (
	RefuseUnknown Unknown = false
	WarnOfUnknown Unknown = true
)

// Decode decodes the file into v, a pointer to a struct whose fields have toml tags and are
// strings, booleans, ints, structs, slices of these, or any, which allows any content and ignores it. It
// reports, and skips, every unknown key and every value of the wrong type. Keys are case-sensitive.
// (go-toml's own decoding is not, and stops at the first value of a wrong type.)
func (d Doc) Decode(v any, unknown Unknown) Problems {
	if d.root == nil {
		return nil
	}
	dec := decoder{doc: d, unknown: unknown, schema: newSchema(reflect.TypeOf(v).Elem())}
	dec.value(d.root, reflect.ValueOf(v).Elem(), "")
	return dec.problems.InOrder()
}

type decoder struct {
	doc      Doc
	unknown  Unknown
	schema   schema
	problems Problems
}

// value decodes n into v. The path has no indexes.
func (d *decoder) value(n *node, v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Interface:
	case reflect.String:
		if d.fits(n, unstable.String, v.Type(), path) {
			v.SetString(n.text)
		}
	case reflect.Bool:
		if d.fits(n, unstable.Bool, v.Type(), path) {
			v.SetBool(n.text == "true")
		}
	case reflect.Int:
		if d.fits(n, unstable.Integer, v.Type(), path) {
			i, err := strconv.ParseInt(n.text, 0, strconv.IntSize) // Go's digits are those of TOML
			if err != nil {
				d.report(n, path+" is out of range", false)
			}
			v.SetInt(i)
		}
	case reflect.Slice:
		if d.fits(n, unstable.Array, v.Type(), path) {
			v.Set(reflect.MakeSlice(v.Type(), len(n.elems), len(n.elems)))
			for i, e := range n.elems {
				d.value(e, v.Index(i), path)
			}
		}
	case reflect.Struct:
		if d.fits(n, unstable.Table, v.Type(), path) {
			d.table(n, v, path)
		}
	default:
		panic(fmt.Sprintf("config: %s of type %s cannot be decoded", path, v.Type()))
	}
}

func (d *decoder) table(n *node, v reflect.Value, path string) {
	fields := d.schema.fields(v.Type())
	for _, key := range n.keys {
		below := strings.TrimPrefix(path+"."+key, ".")
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == key })
		if i < 0 {
			hint := d.schema.hint(key, fields)
			if hint == "" && !bool(d.unknown) {
				hint = "; known are " + keysOf(fields)
			}
			message := "unknown key " + quote(below) + hint
			d.report(n.below[key], message, bool(d.unknown))
			continue
		}
		d.value(n.below[key], v.FieldByIndex(fields[i].index), below)
	}
}

// fits reports whether n has the kind of a field of type t; if not, it adds a problem.
func (d *decoder) fits(n *node, want unstable.Kind, t reflect.Type, path string) bool {
	if n.kind == want {
		return true
	}
	hint := ""
	switch {
	case want == unstable.Array && n.kind == unstable.Table && t.Elem().Kind() == reflect.Struct:
		hint = "; write [[" + path + "]]"
	case want == unstable.Table && n.kind == unstable.Array && !n.element:
		hint = "; write [" + path + "]"
	case want == unstable.String && n.kind == unstable.Integer && strings.HasPrefix(n.text, "0o"):
		hint = "; write " + quote("0"+n.text[2:])
	}
	if n.element {
		path = "an element of " + path
	}
	needed := kindNames[want]
	if want == unstable.Integer {
		needed = "a whole number"
	}
	d.report(n, fmt.Sprintf("%s must be %s, not %s%s", path, needed, kindNames[n.kind], hint), false)
	return false
}

func (d *decoder) report(n *node, message string, warning bool) {
	line, column := d.doc.place(n)
	d.problems = append(d.problems,
		Problem{File: d.doc.file, Line: line, Column: column, Message: message, Warning: warning})
}

var kindNames = map[unstable.Kind]string{
	unstable.String:        "a string",
	unstable.Bool:          "true or false",
	unstable.Integer:       "a number",
	unstable.Float:         "a number",
	unstable.Array:         "an array",
	unstable.Table:         "a table",
	unstable.LocalDate:     "a date",
	unstable.LocalTime:     "a time",
	unstable.LocalDateTime: "a time",
	unstable.DateTime:      "a time",
}
