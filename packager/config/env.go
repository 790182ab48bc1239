package config

import (
	"fmt"
	"regexp"
)

// envEntry is an entry of [[build.env]] (RFC 0109).
type envEntry struct {
	Name    string   `toml:"name"`
	Value   string   `toml:"value"`
	Suffix  string   `toml:"suffix"`
	Delim   string   `toml:"delim"`
	ExecEnv []string `toml:"exec-env"`
}

// IsEnvName reports whether a name is valid for an environment variable of a build.
func IsEnvName(name string) bool { return envName.MatchString(name) }

// envName matches valid names of environment variables, and so of their files.
var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// readEnv sets Env, the files of /cnb/build-config/env: NAME or NAME.SUFFIX with the value,
// NAME.delim with the delimiter. A later entry with the same name and suffix replaces the earlier
// one.
func (c *Builder) readEnv(f builderFile) (problems Problems) {
	c.Env = map[string]string{}
	for i, e := range f.Build.Env {
		warn := func(message string) {
			problems = append(problems, c.Warning(message, "build", "env", i))
		}
		if message := e.check(); message != "" {
			problems = append(problems, c.Problem(message, "build", "env", i))
			continue
		}
		if e.Value == "" {
			warn(fmt.Sprintf("build.env %s has an empty value", e.Name))
		}
		if len(e.ExecEnv) > 0 {
			warn(fmt.Sprintf("build.env %s: exec-env is not supported in builders; the variable is always set", e.Name))
		}
		set := func(file, content string) {
			if before, there := c.Env[file]; there && before != content {
				warn(fmt.Sprintf("build.env %s is set twice; the last value is used", file))
			}
			c.Env[file] = content
		}
		set(e.file(), e.Value)
		if e.Delim != "" {
			set(e.Name+".delim", e.Delim)
		}
	}
	return append(problems, c.checkDelims(f.Build.Env)...)
}

func (e envEntry) file() string {
	if e.Suffix == "" {
		return e.Name
	}
	return e.Name + "." + e.Suffix
}

func (e envEntry) check() string {
	switch {
	case e.Name == "":
		return "build.env.name is missing"
	case !envName.MatchString(e.Name):
		return fmt.Sprintf("invalid build.env.name %q", e.Name)
	}
	switch e.Suffix {
	case "", "default", "override", "append", "prepend":
		return ""
	}
	return fmt.Sprintf("build.env %s: unknown suffix %q; use default, override, append or prepend", e.Name, e.Suffix)
}

// checkDelims reports append and prepend without a delimiter, which the lifecycle requires, in this
// entry or another one.
func (c *Builder) checkDelims(entries []envEntry) (problems Problems) {
	for i, e := range entries {
		if _, has := c.Env[e.Name+".delim"]; !has && (e.Suffix == "append" || e.Suffix == "prepend") {
			problems = append(problems, c.Problem(fmt.Sprintf("build.env %s: suffix %s requires a delim", e.Name, e.Suffix), "build", "env", i))
		}
	}
	return problems
}
