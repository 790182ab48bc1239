package config

import (
	"reflect"
	"slices"
	"strings"
)

// field is a struct field for a key.
type field struct {
	key   string
	index []int
}

// schema knows the keys of a struct, and their tables.
type schema struct {
	root   reflect.Type
	byType map[reflect.Type][]field
	places map[string][]string // the tables that have a key, for messages
}

func newSchema(root reflect.Type) schema {
	return schema{root: root, byType: make(map[reflect.Type][]field), places: make(map[string][]string)}
}

// fields returns the fields of the struct t, including those of embedded structs.
func (s schema) fields(t reflect.Type) []field {
	fields, ok := s.byType[t]
	if !ok {
		for _, f := range reflect.VisibleFields(t) {
			key, _, _ := strings.Cut(f.Tag.Get("toml"), ",") // options are for encoders
			if key != "" && key != "-" {
				fields = append(fields, field{key: key, index: f.Index})
			}
		}
		s.byType[t] = fields
	}
	return fields
}

// keysOf lists the keys of fields, for messages.
func keysOf(fields []field) string {
	var keys []string
	for _, f := range fields {
		keys = append(keys, f.key)
	}
	return strings.Join(keys, ", ")
}

// oldNames are keys of other versions of the spec, or of other tools.
var oldNames = map[string]string{"distributions": "distros", "arch-variant": "variant"}

// hint returns a hint for an unknown key in a table with the fields, or "".
func (s schema) hint(key string, fields []field) string {
	var known []string
	for _, f := range fields {
		known = append(known, f.key)
	}
	if i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, key) }); i >= 0 {
		return "; write " + quote(known[i])
	}
	if slices.Contains(known, oldNames[key]) {
		return "; write " + quote(oldNames[key])
	}
	if len(s.places) == 0 {
		s.locate(s.root, "")
	}
	if places := s.places[key]; len(places) > 0 {
		return "; " + key + " belongs " + strings.Join(places, " or ")
	}
	if near := nearest(key, known); near != "" {
		return "; did you mean " + quote(near) + "?"
	}
	return ""
}

// locate records which tables have which keys.
func (s schema) locate(t reflect.Type, path string) {
	array := false
	for t.Kind() == reflect.Slice {
		t, array = t.Elem(), true
	}
	if t.Kind() != reflect.Struct {
		return
	}
	place := "at the top of the file, before the first table"
	switch {
	case array:
		place = "in [[" + path + "]]"
	case path != "":
		place = "in [" + path + "]"
	}
	for _, f := range s.fields(t) {
		s.places[f.key] = append(s.places[f.key], place)
		s.locate(t.FieldByIndex(f.index).Type, strings.TrimPrefix(path+"."+f.key, "."))
	}
}

// nearest returns the candidate with the smallest edit distance from word, the first of several, or
// "" if all are too different.
func nearest(word string, candidates []string) string {
	best, least := "", max(1, len(word)/3)+1
	for _, c := range candidates {
		if len(word)-len(c) >= least {
			continue // too different, and a word may be as long as the file
		}
		if d := distance(word, c); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance returns the number of insertions, removals, replacements and swaps of neighbouring bytes
// between a and b.
func distance(a, b string) int {
	var before, above []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, above, row = above, row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(above[j]+cost, above[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
