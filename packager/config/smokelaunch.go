package config

import (
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"
)

// smokeLaunch is the form of [launch].
type smokeLaunch struct {
	Type     string      `toml:"type"`
	Args     []string    `toml:"args"`
	ExitCode int         `toml:"exit-code"`
	Timeout  string      `toml:"timeout"`
	HTTP     smokeHTTP   `toml:"http"`
	Env      []smokeEnv  `toml:"env"`
	Logs     []smokeLine `toml:"logs"`
}

// smokeHTTP is the form of [launch.http].
type smokeHTTP struct {
	Port   int    `toml:"port"`
	Path   string `toml:"path"`
	Status int    `toml:"status"`
	Body   string `toml:"body"`
}

func (r *smokeReader) launch(f smokeLaunch) *SmokeLaunch {
	l := &SmokeLaunch{Type: f.Type, Args: f.Args, Timeout: LaunchTimeout}
	l.ExitCode = r.exitCode(f.ExitCode, "launch", "exit-code")
	if slices.ContainsFunc(f.Args, func(a string) bool { return strings.Contains(a, "\x00") }) {
		r.add("launch.args has a NUL character", "launch", "args")
	}
	if r.kind("launch", "timeout") == unstable.String {
		d, err := time.ParseDuration(f.Timeout)
		if err != nil || d <= 0 {
			r.add("invalid launch.timeout "+quote(f.Timeout)+`; write a duration, such as "30s" or "2m"`, "launch", "timeout")
		}
		l.Timeout = d
	}
	if r.kind("launch", "http") == unstable.Table {
		l.HTTP = r.http(f.HTTP)
	}
	var env []smokeLabel
	for _, e := range f.Env {
		env = append(env, smokeLabel{Key: e.Name, Value: e.Value, Absent: e.Absent})
	}
	l.Env = r.values(env, "name", "launch", "env")
	l.Logs = r.lines(f.Logs, "launch", "logs")
	return l
}

func (r *smokeReader) http(f smokeHTTP) *SmokeHTTP {
	h := &SmokeHTTP{Port: f.Port, Path: "/", Status: 200, Body: r.pattern(f.Body, "launch", "http", "body")}
	switch kind := r.kind("launch", "http", "port"); {
	case kind == unstable.Invalid:
		r.add("launch.http.port is missing; write the port that the process listens on, such as 8080", "launch", "http")
	case kind == unstable.Integer && (f.Port < 1 || f.Port > 65535):
		r.add("launch.http.port must be from 1 to 65535", "launch", "http", "port")
	}
	if r.kind("launch", "http", "path") == unstable.String {
		if h.Path = f.Path; !strings.HasPrefix(f.Path, "/") || printable(f.Path) != f.Path {
			r.add("invalid launch.http.path "+quote(f.Path)+"; it begins with /", "launch", "http", "path")
		}
	}
	if r.kind("launch", "http", "status") == unstable.Integer {
		if h.Status = f.Status; h.Status < 200 || h.Status > 599 {
			r.add("launch.http.status must be from 200 to 599", "launch", "http", "status")
		}
	}
	if r.Has("launch", "exit-code") {
		r.add("launch has both exit-code and http; a process that answers is ended, so remove exit-code", "launch", "exit-code")
	}
	return h
}
