package config

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// FuzzParseProject: whatever stands in a project.toml, its problems have places in it, in order, and
// what is used of it can be used: names of variables are names of files, patterns are lines, and each
// buildpack is named in one way.
func FuzzParseProject(f *testing.F) {
	for _, seed := range append(seeds,
		"[_]\nschema-version = '0.2'\nid = 'x'\n[io.buildpacks]\nbuilder = 'b'\nexclude = ['/a', '*.md']\n[[io.buildpacks.group]]\nid = 'x'\n[io.buildpacks.group.script]\napi = '0.10'\ninline = 'x'\n[[io.buildpacks.build.env]]\nname = 'A'\nvalue = 'b'",
		"_.schema-version = '0.3'\nio = {buildpacks = {include = ['!a', \"b\\n\"], pre = {group = [{uri = 'x', version = '1'}]}}}\n[io.other]\nx = 1",
		"_.schema-version = 1\nio = 1\n_.licenses = [{}]", "io.buildpacks = []\nbuild = 1\nproject = [[]]", "[[io]]\n[[io.buildpacks]]\n_.schema-version = '0.2'",
		"[build]\nbuilder = 'b'\n[[build.buildpacks]]\nid = 'x'\nscript = {shell = \"\\n\"}\n[[build.env]]\nname = '..'") {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		p, problems := ParseProject("project.toml", data)
		mustStandInFile(t, data, problems)
		if _, again := ParseProject("project.toml", data); !reflect.DeepEqual(problems, again) || !bytes.Equal(before, data) {
			t.Fatal("two readings differ")
		}
		if problems.Err() != nil {
			return
		}
		fails := func(is bool, what string) {
			if is {
				t.Fatalf("%s in %+v, without a problem", what, p)
			}
		}
		fails(len(p.Include) > 0 && len(p.Exclude) > 0, "include and exclude")
		for _, pattern := range append(p.Include, p.Exclude...) {
			fails(len(pattern) > MaxPattern || strings.ContainsAny(pattern, "\n\x00"), "a pattern")
		}
		for _, e := range p.Env {
			fails(e.Name == "" || strings.ContainsAny(e.Name, "/=\x00") || strings.Contains(e.Value, "\x00"), "a variable")
		}
		for _, b := range append(append(p.Group, p.Pre...), p.Post...) {
			fails(b.ID == "" && b.URI == "", "a nameless buildpack")
			fails(b.Script.Inline != "" && (b.ID == "" || b.URI != "" || b.Script.API == "" || strings.ContainsAny(b.Script.Shell, "\n\x00")), "a script")
		}
	})
}
