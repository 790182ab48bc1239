package flatten_test

import (
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"laminate/flatten"
)

// A ref that is read is written as it was read, has a directory of its own,
// and comes through JSON as it is.
func FuzzParseRef(f *testing.F) {
	for _, s := range []string{"a@1", "acme/go@0.1.2-rc+7", "a", "@", "a@1@2", "../a@1", "a/@.", ".wh.x@1", "a\xff@1", "ä@1", "a\u202e@1", "a b@1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := flatten.ParseRef(s)
		if err != nil {
			if ref != (flatten.Ref{}) {
				t.Fatalf("%q: an error and %v", s, ref)
			}
			return
		}
		if ref.String() != s {
			t.Fatalf("%q is written as %q", s, ref)
		}
		dir := flatten.Buildpack.Dir(ref)
		if path.Clean(dir) != dir || strings.Count(dir, "/") != 4 || path.Dir(dir) != flatten.Buildpack.IDDir(ref) || strings.Contains(dir, "/.wh.") {
			t.Fatalf("%q lies in %q", s, dir)
		}
		var again flatten.Ref
		if b, err := json.Marshal(ref); err != nil || json.Unmarshal(b, &again) != nil || again != ref {
			t.Fatalf("%q comes out of JSON as %q, %v", s, again, err)
		}
	})
}

// A target that is read is read again from what it was written as, and its
// folders stay below where they are looked for.
func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"linux", "linux/amd64", "linux/arm/v7:ubuntu@22.04@24.04;debian@12", "linux/..", "linux/amd64:", "linux/amd64:@1", "linux/amd64:..@..", "a/b/c/d", "linux/amd64:a:b@1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, err := flatten.ParseTarget(s)
		if err != nil {
			return
		}
		again, err := flatten.ParseTarget(target.String())
		if err != nil || again.String() != target.String() || !slices.Equal(again.Distros, target.Distros) {
			t.Fatalf("%q: %#v, then %#v, %v", s, target, again, err)
		}
		for _, one := range target.PerDistro() {
			for _, folder := range one.Folders() {
				if folder == "" || folder == "." || folder == ".." || strings.ContainsAny(folder, "/\x00") {
					t.Fatalf("%q: folder %q", s, folder)
				}
			}
		}
	})
}

// What a pattern means is there, in order, and there once; a ref means itself.
func FuzzSelect(f *testing.F) {
	refs := rs("acme/node@2", "acme/go@1", "acme/node@1", "paketo/java@1.2")
	for _, s := range []string{"acme/node@1", "acme/*", "*@*", "?cme/go", "acme/node", "\xff", "(", "*@1.?", "@", "", `\E*`, strings.Repeat("*", 2000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		found, err := flatten.Select(pattern, refs)
		if (err == nil) != (len(found) > 0) {
			t.Fatalf("%q: %v, %v", pattern, found, err)
		}
		at := -1
		for _, ref := range found {
			i := slices.Index(refs, ref)
			if i <= at {
				t.Fatalf("%q: %v", pattern, found)
			}
			at = i
		}
		if exact, err := flatten.ParseRef(pattern); err == nil && slices.Contains(refs, exact) && !slices.Equal(found, []flatten.Ref{exact}) {
			t.Fatalf("%q: %v", pattern, found)
		}
	})
}

// A layers label that is read names refs that have directories, and comes out
// of JSON as it is.
func FuzzLayersLabel(f *testing.F) {
	id := hash("a").String()
	for _, s := range []string{
		`{"a":{"1":{"api":"0.2","layerDiffID":"` + id + `","order":[{"group":[{"id":"b","version":"1"}]}],"stacks":[{"id":"*"}],"targets":[{"os":"linux"}]}}}`,
		`{"../a":{"1":{"layerDiffID":"` + id + `"}}}`, `{"a":null}`, `{"a":{"1":null}}`, `null`, `{}`, `[`, `{"a":{"1":{"layerDiffID":"` + id + `"}},"a":{"2":{"layerDiffID":"` + id + `"}}}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := flatten.ParseLayersLabel(s)
		if err != nil {
			return
		}
		ms := flatten.Modules{}
		for _, ref := range l.Refs() {
			if err := ref.Check(); err != nil {
				t.Fatal(err)
			}
			ms[ref] = l.Module(flatten.Buildpack, ref)
		}
		for _, ref := range l.Refs() {
			e, problems := ms.Expand(ref)
			if len(problems) > 0 {
				continue
			}
			if plan, err := flatten.Plan(e, ms, flatten.Grouping{Mode: flatten.Composites}, flatten.Existing{}); err != nil || len(plan) == 0 {
				t.Fatalf("%v, %v", plan, err)
			}
		}
		first, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		again, err := flatten.ParseLayersLabel(string(first))
		if err != nil {
			t.Fatal(err)
		}
		if second, err := json.Marshal(again); err != nil || string(second) != string(first) {
			t.Fatalf("%s, then %s, %v", first, second, err)
		}
	})
}

// What is believed of a recipes label is consistent, and what was believed
// once is believed again.
func FuzzRecipesLabel(f *testing.F) {
	l := flatten.RecipesLabel{}
	l.Add(hash("a"), []flatten.Facts{{Ref: r("a@1"), ContentID: hash("1"), Length: 512}, {Ref: r("b@1"), ContentID: hash("2"), Length: 1024}})
	l.Add(hash("c"), []flatten.Facts{{Ref: r("c@1"), ContentID: hash("c"), Length: 1024}})
	b, err := json.Marshal(l)
	if err != nil {
		f.Fatal(err)
	}
	neighbours := flatten.RecipesLabel{}
	neighbours.Add(hash("d"), []flatten.Facts{{Ref: r("a@1"), ContentID: hash("1"), Length: 512}, {Ref: r("a@2"), ContentID: hash("2"), Length: 1024}})
	n, err := json.Marshal(neighbours)
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{string(b), string(n), longForm(l), longForm(neighbours), `{"x":{}}`, `null`, `{"` + hash("a").String() + `":{"recipe":"","pieces":[{"content":"` + hash("1").String() + `"}]}}`, `{`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := flatten.ParseRecipesLabel(s)
		if err != nil {
			return
		}
		for diffID, pieces := range l {
			if len(pieces) == 0 || len(pieces) == 1 && pieces[0].ContentID != diffID {
				t.Fatalf("%s: %v is believed", s, pieces)
			}
			var refs []flatten.Ref
			for _, p := range pieces {
				refs = append(refs, p.Ref)
			}
			if !slices.Equal(refs, flatten.Neighbours(refs)) {
				t.Fatalf("%s: the order of %v is believed", s, refs)
			}
			for _, p := range pieces {
				if p.Length <= 0 || p.Length%512 != 0 || p.Ref.Check() != nil {
					t.Fatalf("%s: %v is believed", s, p)
				}
			}
		}
		b, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		again, err := flatten.ParseRecipesLabel(string(b))
		if err != nil || !maps.EqualFunc(again, l, slices.Equal[[]flatten.Facts]) {
			t.Fatalf("%v, then %v, %v", l, again, err)
		}
	})
}
