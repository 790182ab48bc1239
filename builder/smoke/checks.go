package smoke

import (
	"archive/tar"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/image"
)

// group checks the detected group.
func (c *checker) group(build flatten.BuildMetadata) {
	if len(c.Group) == 0 {
		return
	}
	same := func(want config.SmokeBuildpack, have flatten.BuildElement) bool {
		return want.ID == have.ID && (want.Version == "" || want.Version == have.Version)
	}
	if slices.EqualFunc(c.Group, build.Buildpacks, same) {
		return
	}
	var have, want []string
	for _, b := range build.Buildpacks {
		have = append(have, clip(b.Ref().String()))
	}
	for _, b := range c.Group {
		name := b.ID
		if b.Version != "" {
			name += "@" + b.Version
		}
		want = append(want, clip(name))
	}
	at := 0 // the first that differs, as far as there is an expectation
	for at < len(want)-1 && at < len(have) && same(c.Group[at], build.Buildpacks[at]) {
		at++
	}
	c.fail(fmt.Sprintf("detected group is %s; expected %s", list(have), list(want)), "group", at)
}

// defaultProcess returns the type of the process that the entrypoint of an app image starts, or "".
func defaultProcess(entrypoint []string) string {
	if len(entrypoint) > 0 && path.Dir(entrypoint[0]) == processDir {
		return path.Base(entrypoint[0])
	}
	return ""
}

// processes checks the processes.
func (c *checker) processes(build flatten.BuildMetadata, entrypoint []string) {
	standard := defaultProcess(entrypoint)
	for i, want := range c.Processes {
		at := slices.IndexFunc(build.Processes, func(p flatten.Process) bool { return p.Type == want.Type })
		if at < 0 {
			c.fail(fmt.Sprintf("there is no process %s; the image has %s", clip(want.Type), list(types(build))), "processes", i)
			continue
		}
		p := build.Processes[at]
		if command := strings.Join(p.Command, " "); want.Command != nil && !want.Command.MatchString(command) {
			c.fail(fmt.Sprintf("command of process %s is %s; expected one that matches %s", clip(want.Type), quote(command), said(want.Command)), "processes", i, "command")
		}
		if args := strings.Join(p.Args, " "); want.Args != nil && !want.Args.MatchString(args) {
			c.fail(fmt.Sprintf("args of process %s are %s; expected some that match %s", clip(want.Type), quote(args), said(want.Args)), "processes", i, "args")
		}
		switch {
		case !want.Default && c.Has("processes", i, "default") && standard == want.Type:
			c.fail(fmt.Sprintf("default process is %s; expected another one, or none", clip(standard)), "processes", i, "default")
		case !want.Default || standard == want.Type:
		case standard == "":
			c.fail(fmt.Sprintf("there is no default process; expected %s", clip(want.Type)), "processes", i, "default")
		default:
			c.fail(fmt.Sprintf("default process is %s; expected %s", clip(standard), clip(want.Type)), "processes", i, "default")
		}
	}
}

// types are the types of the processes.
func types(build flatten.BuildMetadata) (all []string) {
	for _, p := range build.Processes {
		all = append(all, clip(p.Type))
	}
	return all
}

// file checks a file of the app image.
func (c *checker) file(there files, want config.SmokeFileContent, at ...any) {
	n := there.find(want.Path)
	switch {
	case want.Absent:
		if n != nil {
			c.fail(fmt.Sprintf("there is a %s %s; expected none", kindOf(n), clip(want.Path)), at...)
		}
		return
	case n == nil:
		dir, names := there.beside(want.Path)
		for i, name := range names {
			names[i] = clip(name)
		}
		c.fail(fmt.Sprintf("there is no file %s; %s has %s", clip(want.Path), clip(dir), list(names)), at...)
		return
	}
	if mode := n.mode & 0o7777; want.HasMode && mode != int64(want.Mode) {
		c.fail(fmt.Sprintf("mode of %s is %04o; expected %04o", clip(want.Path), mode, uint32(want.Mode)), append(slices.Clone(at), "mode")...)
	}
	if want.Content == nil {
		return
	}
	at = append(slices.Clone(at), "content")
	switch have := there.read[n.content]; {
	case n.typeflag != tar.TypeReg:
		c.fail(fmt.Sprintf("%s is a %s; expected a file with content that matches %s", clip(want.Path), kindOf(n), said(want.Content)), at...)
	case have.tooBig:
		c.fail(fmt.Sprintf("%s is larger than %d MiB; its content is not checked", clip(want.Path), contentLimit>>20), at...)
	case !have.matches[want.Content]:
		c.fail(fmt.Sprintf("content of %s is %s; expected one that matches %s", clip(want.Path), quote(have.start), said(want.Content)), at...)
	}
}

func kindOf(n *node) string {
	switch n.typeflag {
	case tar.TypeReg:
		return "file"
	case tar.TypeDir:
		return "directory"
	}
	return "special file"
}

// lines checks the log of a build or a process.
func (c *checker) lines(of string, want []config.SmokeLine, open OpenLog, path ...any) {
	if len(want) == 0 {
		return
	}
	found, err := search(open, want)
	if err != nil {
		c.fail(fmt.Sprintf("log of the %s cannot be read: %v", of, err), path...)
		return
	}
	for i, w := range want {
		here := append(slices.Clone(path), i)
		switch times := found[i].times; {
		case w.Absent && times == 1:
			c.fail(fmt.Sprintf("log of the %s has line %d %s; expected none that matches %s", of, found[i].number, quote(found[i].line), said(w.Line)), here...)
		case w.Absent && times > 1:
			c.fail(fmt.Sprintf("log of the %s has %d lines that match %s, the first is line %d %s; expected none", of, times, said(w.Line), found[i].number, quote(found[i].line)), here...)
		case !w.Absent && times == 0:
			c.fail(fmt.Sprintf("log of the %s has no line that matches %s", of, said(w.Line)), here...)
		}
	}
}

// launch checks a launched process.
func (c *checker) launch(app *image.Image, l *Launched) {
	want := c.Launch
	if want == nil {
		return
	}
	what := "default process"
	if want.Type != "" {
		what = "process " + clip(want.Type)
	}
	if l == nil {
		l = &Launched{Err: errors.New("it was not launched")}
	}
	if labels, err := app.AppLabels(); err == nil && l.Err != nil && want.Type != "" {
		named := func(p flatten.Process) bool { return p.Type == want.Type }
		if !slices.ContainsFunc(labels.Build.Processes, named) {
			c.fail(fmt.Sprintf("there is no process %s to launch; the image has %s", clip(want.Type), list(types(labels.Build))), "launch", "type")
			return
		}
	}
	if l.Err != nil {
		c.fail(fmt.Sprintf("%s did not start: %v", what, l.Err), "launch")
		return
	}
	if want.HTTP != nil {
		c.answer(what, l)
	} else {
		switch {
		case !l.Ended:
			c.fail(fmt.Sprintf("%s did not end within %s; raise launch.timeout, or add [launch.http] for a server", what, want.Timeout), "launch")
		case l.ExitCode != want.ExitCode:
			c.fail(fmt.Sprintf("%s ended with exit code %d; expected %d", what, l.ExitCode, want.ExitCode), "launch", "exit-code")
		}
	}
	env := map[string]string{}
	for _, e := range l.Env {
		name, value, _ := strings.Cut(e, "=")
		env[name] = value
	}
	if l.NoEnv == nil {
		c.values("environment variable", want.Env, env, "launch", "env")
	} else {
		c.fail(fmt.Sprintf("environment of %s is not known: %v", what, l.NoEnv), "launch", "env")
	}
	c.lines("process", want.Logs, l.Log, "launch", "logs")
}

// answer checks the answer of a process.
func (c *checker) answer(what string, l *Launched) {
	h := c.Launch.HTTP
	switch a := l.Answer; {
	case a == nil && l.Ended:
		c.fail(fmt.Sprintf("%s ended with exit code %d before it answered on port %d", what, l.ExitCode, h.Port), "launch", "http")
	case a == nil:
		c.fail(fmt.Sprintf("%s did not answer on port %d within %s: %v", what, h.Port, c.Launch.Timeout, l.NoAnswer), "launch", "http")
	default:
		if a.Status != h.Status {
			c.fail(fmt.Sprintf("GET %s answered %d with %s; expected %d", clip(h.Path), a.Status, quote(a.Body), h.Status), "launch", "http", "status")
		}
		if h.Body != nil && !h.Body.MatchString(a.Body) {
			c.fail(fmt.Sprintf("GET %s answered %s; expected a body that matches %s", clip(h.Path), quote(a.Body), said(h.Body)), "launch", "http", "body")
		}
	}
}
