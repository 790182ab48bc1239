package config

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	burntsushi "github.com/BurntSushi/toml"
	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"laminate/flatten"
)

var seeds = []string{
	"",
	component,
	component + "[[order]]\n[[order.group]]\nid = 'a'\noptional = true\n[[order]]\ngroup = [{id = 'b', version = \"1\"}]",
	component + "exec-env = ['a']\n[[targets]]\nos = 'linux'\ndistros = [{name = 'x'}]\n[metadata.a]\nb.c = [1, [2.5, inf], {d = 07:32:00}]",
	"api = '''0.9'''\r\nbuildpack = {id = \"\\u0061\", version = '1', licenses = [{type = 'MIT'}]}\r\n",
	"[extension]\nid = 'a'\nversion = '1'\n[[extension.licenses]]\nuri = 'x'",
	"[buildpack]\nuri = '.'\n[[dependencies]]\nuri = 'a'\n[[dependencies]]\nimage = 'b'\n[[targets]]\nos = 'linux'\n[platform]\nos = 'linux'",
	"a = []\n[[a]]\n[a.b]\nc = 1",
	"a = {b = 1}\na.b.c = 2\n[a.b]\n[[a.b]]",
	"[a]\n[[a.b]]\n[a.b.c]\n[[a]]",
	"x = [[[{y = [{}]}]]]",
	component + "metadata = {\n a = 1, # b\n}",
	component + "[metadata]\na = \"\\x41\\e\"\nb = 07:32",
	"\ufeff\"\\u001b\" = \"\"\"\n\"\"\" # \x00",
}

func FuzzParseModule(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		m, problems := ParseModule(flatten.Buildpack, "buildpack.toml", data)
		mustStandInFile(t, data, problems)
		_, again := ParseModule(flatten.Buildpack, "buildpack.toml", data)
		if !slices.Equal(problems, again) || !bytes.Equal(before, data) {
			t.Fatal("two readings differ")
		}
		_, ext := ParseModule(flatten.Extension, "extension.toml", data)
		mustStandInFile(t, data, ext)

		// Where nothing is wrong, go-toml understands the same.
		var want buildpackDescriptor
		if len(problems) > 0 || m.execEnvTables() {
			return
		}
		if err := toml.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), &want); err != nil {
			t.Fatalf("go-toml refuses what ParseModule takes: %v", err)
		}
		got := flatten.Module{Kind: flatten.Buildpack, API: m.API, Info: want.Buildpack.Info,
			Stacks: want.Stacks, Targets: want.Targets, Order: want.Order}
		if !reflect.DeepEqual(got, m.Module) {
			t.Fatalf("go-toml reads\n%+v, ParseModule\n%+v", got, m.Module)
		}
		// And so does the lifecycle's parser.
		var lifecycle buildpackDescriptor
		if _, err := burntsushi.Decode(string(data), &lifecycle); err != nil {
			t.Fatalf("the lifecycle's parser refuses what ParseModule takes: %v", err)
		}
		lifecycle.Metadata, want.Metadata = nil, nil // other types for the same dates
		if !reflect.DeepEqual(lifecycle, want) {
			t.Fatalf("the lifecycle's parser reads\n%+v, go-toml\n%+v", lifecycle, want)
		}
		mustKnowEntries(t, m)
	})
}

func FuzzParsePackage(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, problems := ParsePackage("package.toml", data)
		mustStandInFile(t, data, problems)
		if len(problems) > 0 {
			return
		}
		var want packageFile
		if err := toml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff")))).DisallowUnknownFields().Decode(&want); err != nil {
			t.Fatalf("go-toml refuses what ParsePackage takes: %v", err)
		}
		if p.URI != want.Buildpack.URI+want.Extension.URI || !reflect.DeepEqual(p.Targets, want.Targets) ||
			len(p.Dependencies) != len(want.Dependencies) {
			t.Fatalf("go-toml reads\n%+v, ParsePackage\n%+v", want, p)
		}
		for i, d := range p.Dependencies {
			if (packageDependency{URI: d.URI, Image: d.Image}) != want.Dependencies[i] || d.Line < 1 {
				t.Fatalf("go-toml reads\n%+v, ParsePackage\n%+v", want, p)
			}
		}
	})
}

// mustStandInFile checks that problems come in order, name places that the
// file has, and can be shown to anybody.
func mustStandInFile(t *testing.T, data []byte, problems Problems) {
	t.Helper()
	lines := bytes.Split(data, []byte("\n"))
	last := 0
	for _, p := range problems {
		switch {
		case p.Line < last || p.Line > len(lines) || (p.Line == 0) != (p.Column == 0):
			t.Fatalf("%d:%d is behind line %d of %d: %s", p.Line, p.Column, last, len(lines), p)
		case p.Line > 0 && (p.Column < 1 || p.Column > len(lines[p.Line-1])+1):
			t.Fatalf("line %d has no column %d: %s", p.Line, p.Column, p)
		case p.Message == "" || p.Message != printable(p.Message):
			t.Fatalf("message %q is not printable", p.Message)
		}
		last = p.Line
	}
}

// mustKnowEntries checks that every entry of the order has a place.
func mustKnowEntries(t *testing.T, m Module) {
	t.Helper()
	for i, g := range m.Order {
		for j := range g.Entries {
			line, _ := m.Position("order", i, "group", j)
			if line < 1 || !m.Has("order", i, "group", j, "id") {
				t.Fatalf("entry %d of group %d has no place", j, i)
			}
		}
	}
}

// execEnvTables reports whether exec-env was written as tables, which is the one
// thing that go-toml cannot decode into the descriptor.
func (m Module) execEnvTables() bool {
	n, rest := m.find([]any{string(m.Kind), "exec-env"})
	return rest == 0 && slices.ContainsFunc(n.elems, func(e *node) bool { return strings.Join(e.keys, "") != "" })
}

// FuzzEdit replaces every string of a file, one at a time.
func FuzzEdit(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, problems := Parse("x.toml", data)
		if len(problems) > 0 {
			return
		}
		for _, c := range doc.Comments() {
			if !strings.HasPrefix(string(data[c.Start:]), c.Text) || doc.LineEnd(c.Line) != c.Start+len(c.Text) {
				t.Fatalf("comment %+v is not there", c)
			}
		}
		var paths [][]any
		stringsIn(doc.root, nil, &paths)
		for _, path := range paths {
			text, ok := doc.Text(path...)
			if !ok {
				t.Fatalf("%v has no place", path)
			}
			edit, err := text.Replace("new/value:1")
			if err != nil || edit.Start <= text.Start || edit.End >= text.End {
				t.Fatalf("%v: edit %+v of %+v, %v", path, edit, text, err)
			}
			edited, err := Apply(data, []Edit{edit})
			if err != nil {
				t.Fatal(err)
			}
			again, problems := Parse("x.toml", edited)
			if len(problems) > 0 {
				t.Fatalf("%v: %v in %q", path, problems, edited)
			}
			n, _ := doc.find(path)
			was := n.text
			n.text = "new/value:1"
			if !sameTree(doc.root, again.root) {
				t.Fatalf("%v: %q became %q", path, data, edited)
			}
			n.text = was
		}
	})
}

func stringsIn(n *node, path []any, into *[][]any) {
	if n.kind == unstable.String && len(*into) < 20 {
		*into = append(*into, slices.Clone(path))
	}
	for _, key := range n.keys {
		stringsIn(n.below[key], append(path, key), into)
	}
	for i, e := range n.elems {
		stringsIn(e, append(path, i), into)
	}
}

func sameTree(a, b *node) bool {
	if a.kind != b.kind || a.text != b.text || !slices.Equal(a.keys, b.keys) || len(a.elems) != len(b.elems) {
		return false
	}
	for key := range a.below {
		if !sameTree(a.below[key], b.below[key]) {
			return false
		}
	}
	for i := range a.elems {
		if !sameTree(a.elems[i], b.elems[i]) {
			return false
		}
	}
	return true
}
