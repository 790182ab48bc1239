package config

import (
	"bytes"
	"path"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// FuzzParseSmoke: whatever stands in a smoke.toml, its problems have places in it, in order, and what
// is used of it can be checked: paths are absolute, names are there, and patterns compile.
func FuzzParseSmoke(f *testing.F) {
	for _, seed := range append(seeds, wholeSmoke,
		"[build]\nexit-code = 20\n[[logs]]\nline = 'a'\n[[group]]\nid = 'x@1'",
		"[[processes]]\ntype = 'a'\ndefault = true\n[[processes]]\ntype = 'a'\ndefault = true\ncommand = 'a)(b'",
		"[[files]]\npath = '../x'\nmode = '10000'\ncontent = ''\nabsent = true\n[[files]]\npath = '//a/../../b'",
		"[[build.env]]\nname = 'A=B'\nvalue = \"\\u0000\"\n[[build.env]]\nname = 'A'\n[[build.env]]\nname = 'A'",
		"[launch]\nargs = [\"\\u0000\"]\ntimeout = '-1s'\nexit-code = 256\n[launch.http]\nport = 0\nstatus = 1\npath = 'x'",
		"launch = 1\nlogs = [1]\nfiles = {}\ngroup = 'a'\nlabels = [{value = '('}]\nbuild.env = [[]]",
		"[launch]\nhttp = 1\nenv = [{name = 'a', absent = true, value = '\\p{X}'}]\nlogs = [{}]") {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		s, problems := ParseSmoke("smoke.toml", data)
		mustStandInFile(t, data, problems)
		if _, again := ParseSmoke("smoke.toml", data); !reflect.DeepEqual(problems, again) || !bytes.Equal(before, data) {
			t.Fatal("two readings differ")
		}
		if problems.Err() != nil {
			return
		}
		mustBeCheckable(t, s)
	})
}

// mustBeCheckable checks what the users of a valid smoke.toml rely on.
func mustBeCheckable(t *testing.T, s Smoke) {
	t.Helper()
	fails := func(is bool, what string) {
		if is {
			t.Fatalf("%s in %+v, without a problem", what, s)
		}
	}
	fails(s.ExitCode < 0 || s.ExitCode > 255, "an exit code")
	fails(s.ExitCode != 0 && len(s.Group)+len(s.Processes)+len(s.Files)+len(s.Labels) > 0, "an image of a build that fails")
	fails(s.ExitCode != 0 && s.Launch != nil, "a launch of a build that fails")
	set := map[string]bool{}
	for _, e := range s.BuildEnv { // each becomes a file of that name
		fails(set[e.Name] || path.Base(e.Name) != e.Name || strings.ContainsAny(e.Name, "=\x00") || e.Name == "." || e.Name == "..", "a variable")
		fails(strings.Contains(e.Value, "\x00"), "a value")
		set[e.Name] = true
	}
	for _, g := range s.Group {
		fails(g.ID == "", "an id")
	}
	standard := 0
	types := map[string]bool{}
	for _, p := range s.Processes {
		fails(p.Type == "" || types[p.Type], "a type")
		types[p.Type] = true
		if p.Default {
			standard++
		}
	}
	fails(standard > 1, "two default processes")
	for _, f := range s.Files {
		fails(!path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || f.Mode > 0o7777, "a file")
		fails(f.Absent && (f.HasMode || f.Content != nil), "an absent file")
	}
	mustHaveNames(t, s.Labels)
	mustHavePatterns(t, s.Logs)
	if s.Launch == nil {
		return
	}
	fails(s.Launch.Timeout <= 0 || s.Launch.ExitCode < 0 || s.Launch.ExitCode > 255, "a launch")
	fails(strings.Contains(strings.Join(s.Launch.Args, ""), "\x00"), "an argument")
	if h := s.Launch.HTTP; h != nil {
		fails(h.Port < 1 || h.Port > 65535 || !strings.HasPrefix(h.Path, "/") || h.Status < 200 || h.Status > 599, "a request")
	}
	mustHaveNames(t, s.Launch.Env)
	mustHavePatterns(t, s.Launch.Logs)
}

func mustHaveNames(t *testing.T, values []SmokeValue) {
	t.Helper()
	for _, v := range values {
		if v.Name == "" {
			t.Fatalf("missing name in %+v, without a problem", values)
		}
	}
}

// mustHavePatterns checks that the pattern of each line is there, and alone in its parentheses.
func mustHavePatterns(t *testing.T, lines []SmokeLine) {
	t.Helper()
	for _, l := range lines {
		if l.Line == nil {
			t.Fatalf("missing pattern in %+v, without a problem", lines)
		}
		if _, err := regexp.Compile(strings.TrimSuffix(strings.TrimPrefix(l.Line.String(), "(?m:"), ")")); err != nil {
			t.Fatalf("pattern %s in %+v, without a problem", l.Line, lines)
		}
	}
}
