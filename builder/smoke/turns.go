package smoke

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"laminate/builder/smoke/ownership"
	"laminate/builder/smoke/sandbox"
	"laminate/flatten"
)

// buildpacksDir holds the buildpacks of a builder, each in ID/VERSION.
const buildpacksDir = "/cnb/buildpacks/"

// LayerWrites says what is done about buildpacks that write into the layers of others, and about processes
// that outlive the turn of their buildpack.
type LayerWrites string

// The default is to ignore them. With WarnOfWrites they are reported, and with FailOnWrites they are
// failures. With RefuseWrites a buildpack can write to its own layers only, and what is found nevertheless is
// a failure. What is refused is told to the buildpack alone: one that goes on passes.
const (
	IgnoreWrites LayerWrites = "ignore"
	WarnOfWrites LayerWrites = "warn"
	FailOnWrites LayerWrites = "fail"
	RefuseWrites LayerWrites = "refuse"
)

// Outlived is a process that still ran after the turn of its buildpack. What it says of itself is not
// trusted.
type Outlived struct {
	// Buildpack is the id; "" if the process is from before the first turn, or turns were not watched.
	Buildpack string `json:"buildpack,omitempty"`
	Name      string `json:"name"`
	Command   string `json:"command"`
}

// turn is what a process outlived.
func (o Outlived) turn() string {
	if o.Buildpack == "" {
		return "the detection"
	}
	return "its turn"
}

func (o Outlived) String() string {
	s := "process " + clip(o.Name)
	if o.Command != "" && o.Command != o.Name {
		s += fmt.Sprintf(" (%s)", clip(o.Command))
	}
	if o.Buildpack != "" {
		s += " of " + o.Buildpack
	}
	return s
}

// turns are the turns of the buildpacks in a build. Nil ones are not watched.
type turns struct {
	*ownership.Turns
	mode    LayerWrites
	ids     map[string]string // of buildpacks, by the names of their directories
	parts   []string          // the directories of the detected buildpacks, from the first turn on
	current string            // id of the buildpack of the last turn
	known   map[process]Outlived
	order   []process // of what is known
}

// process identifies one.
type process struct {
	pid     int
	started uint64
}

func keyOf(p sandbox.Process) process { return process{p.PID, p.Started} }

// watch lets the spec look at what happens between the turns of the buildpacks, if that is asked for.
func (b *build) watch(spec *sandbox.Spec) (*turns, error) {
	if b.LayerWrites == IgnoreWrites || b.LayerWrites == "" {
		return nil, nil
	}
	modules, err := b.Builder.Modules(flatten.Buildpack)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, m := range modules {
		ids = append(ids, m.Ref().ID)
	}
	if b.added != nil {
		for _, r := range b.added.refs {
			ids = append(ids, r.ID)
		}
	}
	t := &turns{mode: b.LayerWrites, ids: map[string]string{}, known: map[process]Outlived{}}
	for _, id := range ids {
		t.ids[strings.ReplaceAll(id, "/", "_")] = id
	}
	if t.Turns, err = ownership.New(b.in(layersDir), ids); err != nil {
		return nil, err
	}
	spec.Watch = &sandbox.Watch{Programs: []string{buildpacksDir + "*/*/bin/build"}, Began: t.began, Ended: t.ended}
	if t.mode == RefuseWrites {
		spec.Watch.Ending = t.ending
		spec.Env = append(spec.Env, "CNB_REPORT_PATH=/tmp/report.toml") // else it would be in /layers
	}
	return t, nil
}

// directoryOf returns the name of the directory of the buildpack whose program is executed: that of its
// layers is the same.
func directoryOf(e sandbox.Exec) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(e.Path, buildpacksDir), "/")
	return name
}

// id returns the id of a buildpack, or the name of its directory if it is none of the builder's.
func (t *turns) id(dir string) string {
	if id := t.ids[dir]; id != "" {
		return id
	}
	return dir
}

// began is called when the turn of a buildpack begins, which waits meanwhile.
func (t *turns) began(e sandbox.Exec) (*sandbox.Access, error) {
	if !e.Direct {
		return nil, nil
	}
	dir := directoryOf(e)
	if t.mode == RefuseWrites && t.parts == nil {
		var err error
		if t.parts, err = t.Group(); err != nil {
			return nil, &stoppedError{"layers cannot be protected: " + err.Error()}
		}
	}
	for _, p := range e.Outlived {
		t.add(p, t.current)
	}
	t.Begin(dir)
	t.current = t.id(dir)
	return t.access(dir), nil
}

// ending is called when the program of a turn ends, before the lifecycle knows. The directory stays
// writable, since the lifecycle renames layers that are not to be kept.
func (t *turns) ending(e sandbox.Exec) (*sandbox.Access, error) {
	if !e.Direct {
		return nil, nil
	}
	return t.access(append(ownership.LifecycleDirs(), directoryOf(e))...), nil
}

func (t *turns) access(writable ...string) *sandbox.Access {
	if t.mode != RefuseWrites {
		return nil
	}
	return &sandbox.Access{Dir: layersDir, Parts: append(ownership.LifecycleDirs(), t.parts...), Writable: writable}
}

// ended is called when the turn of a buildpack has ended.
func (t *turns) ended(e sandbox.Exec) {
	for _, p := range e.Outlived {
		t.add(p, t.id(directoryOf(e)))
	}
}

// add takes down a process that outlives a turn. It is of the buildpack of the first turn that it outlives,
// or of that of its parent.
func (t *turns) add(p sandbox.Process, buildpack string) Outlived {
	key := keyOf(p)
	if o, is := t.known[key]; is {
		return o
	}
	for parent, o := range t.known {
		if parent.pid == p.Parent {
			buildpack = o.Buildpack
		}
	}
	o := Outlived{Buildpack: buildpack, Name: p.Name, Command: p.Command}
	t.known[key], t.order = o, append(t.order, key)
	return o
}

// outlived returns the processes that outlived their turns: those that ended by themselves and, of left,
// those that did not. t may be nil.
func (t *turns) outlived(left []sandbox.Process) (ended, stayed []Outlived) {
	still := map[process]bool{}
	for _, p := range left {
		if t == nil {
			stayed = append(stayed, Outlived{Name: p.Name, Command: p.Command})
			continue
		}
		still[keyOf(p)] = true
		stayed = append(stayed, t.add(p, t.current))
	}
	if t == nil {
		return nil, stayed
	}
	for _, key := range t.order {
		if !still[key] {
			ended = append(ended, t.known[key])
		}
	}
	return ended, stayed
}

// end looks at the layers for the last time. t may be nil.
func (t *turns) end() ([]ownership.Write, error) {
	if t == nil {
		return nil, nil
	}
	return t.End()
}

// stoppedError is why a build was ended that could have gone on.
type stoppedError struct{ message string }

func (e *stoppedError) Error() string { return e.message }

// stopped returns the reason if the sandbox ended a build because of what the buildpacks do, or nil.
func (t *turns) stopped(err error) error {
	if stopped := new(stoppedError); errors.As(err, &stopped) {
		return stopped
	}
	busy := new(sandbox.BusyError)
	if t == nil || !errors.As(err, &busy) {
		return nil
	}
	what := busy.Dir
	if busy.Dir != layersDir {
		what = "the layers of " + t.id(path.Base(busy.Dir))
	}
	if busy.Path == "" {
		return &stoppedError{what + " cannot be protected: a process has a file in " + busy.Dir + " open for writing; the build was ended"}
	}
	by := t.add(busy.Process, "") // it is known as one that outlives a turn, or the detection
	return &stoppedError{fmt.Sprintf("%s cannot be protected: %s has %s open for writing; the build was ended", what, by, clip(busy.Path))}
}
