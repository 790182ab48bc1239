package config

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// smokeFile is the form of smoke.toml.
type smokeFile struct {
	Build struct {
		ExitCode int           `toml:"exit-code"`
		Env      []smokeEnvVar `toml:"env"`
	} `toml:"build"`
	Group []struct {
		ID      string `toml:"id"`
		Version string `toml:"version"`
	} `toml:"group"`
	Processes []smokeProcess `toml:"processes"`
	Files     []smokeFileOf  `toml:"files"`
	Labels    []smokeLabel   `toml:"labels"`
	Logs      []smokeLine    `toml:"logs"`
	Launch    smokeLaunch    `toml:"launch"`
}

type smokeEnvVar struct {
	Name  string `toml:"name"`
	Value string `toml:"value"`
}

type smokeProcess struct {
	Type    string `toml:"type"`
	Command string `toml:"command"`
	Args    string `toml:"args"`
	Default bool   `toml:"default"`
}

type smokeFileOf struct {
	Path    string `toml:"path"`
	Mode    string `toml:"mode"`
	Content string `toml:"content"`
	Absent  bool   `toml:"absent"`
}

type smokeLabel struct {
	Key    string `toml:"key"`
	Value  string `toml:"value"`
	Absent bool   `toml:"absent"`
}

type smokeEnv struct {
	Name   string `toml:"name"`
	Value  string `toml:"value"`
	Absent bool   `toml:"absent"`
}

type smokeLine struct {
	Line   string `toml:"line"`
	Absent bool   `toml:"absent"`
}

// smokeReader checks and converts the values of a smoke.toml. It does not report values of the
// wrong type, which Decode has reported.
type smokeReader struct {
	Doc
	problems Problems
}

func (r *smokeReader) add(message string, at ...any) {
	r.problems = append(r.problems, r.Problem(message, at...))
}

// at returns the path of a key below another path.
func at(path []any, more ...any) []any { return append(slices.Clone(path), more...) }

// required returns the string at the path, and reports one that is missing or empty.
func (r *smokeReader) required(value string, path ...any) string {
	switch kind := r.kind(path...); {
	case kind == unstable.Invalid && r.kind(path[:len(path)-1]...) == unstable.Table:
		r.add(dotted(path)+" is missing", path...)
	case kind == unstable.String && value == "":
		r.add(dotted(path)+" is empty", path...)
	}
	return value
}

// pattern returns the regular expression at the path, or nil if there is none.
func (r *smokeReader) pattern(value string, path ...any) *regexp.Regexp {
	if r.kind(path...) != unstable.String {
		return nil
	}
	if value == "" {
		r.add(dotted(path)+` is an empty pattern, which matches everything; remove it, or write '\A\z' for an empty value`, path...)
		return nil
	}
	_, err := regexp.Compile(value) // "a)(b" is valid only in parentheses
	var re *regexp.Regexp
	if err == nil {
		re, err = regexp.Compile("(?m:" + value + ")")
	}
	if err != nil {
		reason := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		r.add(fmt.Sprintf("invalid pattern %s in %s: %s", quote(value), dotted(path), printable(reason)), path...)
		return nil
	}
	return re
}

// exitCode checks the exit code at the path.
func (r *smokeReader) exitCode(code int, path ...any) int {
	if code < 0 || code > 255 {
		r.add(dotted(path)+" must be from 0 to 255", path...)
	}
	return code
}

func (r *smokeReader) buildEnv(f smokeFile) []EnvVar {
	r.exitCode(f.Build.ExitCode, "build", "exit-code")
	var env []EnvVar
	seen := map[string]bool{}
	for i, e := range f.Build.Env {
		here := []any{"build", "env", i}
		r.required(e.Name, at(here, "name")...)
		switch {
		case e.Name != "" && !envName.MatchString(e.Name):
			r.add("invalid build.env.name "+quote(e.Name), at(here, "name")...)
		case seen[e.Name] && e.Name != "":
			r.add("duplicate build.env "+quote(e.Name)+"; remove one", here...)
		case strings.Contains(e.Value, "\x00"):
			r.add("build.env.value has a NUL character", at(here, "value")...)
		}
		seen[e.Name] = true
		env = append(env, EnvVar(e))
	}
	return env
}

func (r *smokeReader) group(group []struct {
	ID      string `toml:"id"`
	Version string `toml:"version"`
}) []SmokeBuildpack {
	var all []SmokeBuildpack
	for i, e := range group {
		if strings.Contains(e.ID, "@") {
			r.add("group.id has a version; write it in version", "group", i, "id")
		}
		all = append(all, SmokeBuildpack{ID: r.required(e.ID, "group", i, "id"), Version: e.Version})
	}
	return all
}

func (r *smokeReader) processes(processes []smokeProcess) []SmokeProcess {
	var all []SmokeProcess
	seen := map[string]bool{}
	standard := ""
	for i, p := range processes {
		here := []any{"processes", i}
		if p.Type != "" && seen[p.Type] {
			r.add("duplicate process "+quote(p.Type)+"; remove one", here...)
		}
		seen[p.Type] = true
		if p.Default && standard != "" {
			r.add("processes "+quote(standard)+" and "+quote(p.Type)+" cannot both be default", at(here, "default")...)
		}
		if p.Default {
			standard = p.Type
		}
		all = append(all, SmokeProcess{
			Type:    r.required(p.Type, at(here, "type")...),
			Command: r.pattern(p.Command, at(here, "command")...),
			Args:    r.pattern(p.Args, at(here, "args")...),
			Default: p.Default,
		})
	}
	return all
}

func (r *smokeReader) files(files []smokeFileOf) []SmokeFileContent {
	var all []SmokeFileContent
	for i, f := range files {
		here := []any{"files", i}
		r.required(f.Path, at(here, "path")...)
		if f.Path != "" && !path.IsAbs(f.Path) {
			r.add(fmt.Sprintf("files.path %s is relative; write it from the image's root, such as %s", quote(f.Path), quote(inWorkspace(f.Path))), at(here, "path")...)
		}
		c := SmokeFileContent{Path: path.Clean(f.Path), Content: r.pattern(f.Content, at(here, "content")...), Absent: f.Absent}
		if r.kind(at(here, "mode")...) == unstable.String {
			mode, err := strconv.ParseUint(f.Mode, 8, 32)
			if err != nil || mode > 0o7777 {
				r.add("invalid files.mode "+quote(f.Mode)+`; write octal digits, such as "0755"`, at(here, "mode")...)
			}
			c.Mode, c.HasMode = fs.FileMode(mode), true
		}
		if c.Absent && (r.Has(at(here, "mode")...) || r.Has(at(here, "content")...)) {
			r.add("files "+quote(f.Path)+" is absent, and so has neither mode nor content; remove them", here...)
		}
		all = append(all, c)
	}
	return all
}

// inWorkspace returns the path in the app's directory that a relative path may mean.
func inWorkspace(file string) string {
	rest := path.Join("/", file)
	if rest == "/workspace" || strings.HasPrefix(rest, "/workspace/") {
		return rest
	}
	return path.Join("/workspace", rest)
}

// values reads labels, or the environment of a process; key is the name of the key of their names.
func (r *smokeReader) values(values []smokeLabel, key string, path ...any) []SmokeValue {
	var all []SmokeValue
	for i, v := range values {
		here := at(path, i)
		all = append(all, SmokeValue{
			Name:   r.required(v.Key, at(here, key)...),
			Value:  r.pattern(v.Value, at(here, "value")...),
			Absent: v.Absent,
		})
	}
	return all
}

func (r *smokeReader) lines(lines []smokeLine, path ...any) []SmokeLine {
	var all []SmokeLine
	for i, l := range lines {
		here := at(path, i)
		if r.kind(here...) == unstable.Table && !r.Has(at(here, "line")...) {
			r.add(dotted(path)+".line is missing", here...)
		}
		all = append(all, SmokeLine{Line: r.pattern(l.Line, at(here, "line")...), Absent: l.Absent})
	}
	return all
}

// noImage reports what is expected of an image although the build is expected to fail.
func (r *smokeReader) noImage(exitCode int) {
	if exitCode == 0 {
		return
	}
	for _, key := range []string{"group", "processes", "files", "labels", "launch"} {
		if r.Has(key) {
			r.add(fmt.Sprintf("build.exit-code is %d, so there is no app image; remove %s", exitCode, key), key)
		}
	}
}
