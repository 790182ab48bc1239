package config

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	burntsushi "github.com/BurntSushi/toml"
	"github.com/pelletier/go-toml/v2"

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
