package packager_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/location"
	"laminate/packager/progress"
	"laminate/packager/sink"
	"laminate/packager/source"
)

// A bench is a directory in which a test makes modules and packages of them.
type bench struct {
	dir string
	log heard
}

func newBench() *bench {
	return &bench{dir: GinkgoT().TempDir()}
}

// at is the absolute path of something on the bench.
func (b *bench) at(name string) string { return filepath.Join(b.dir, filepath.FromSlash(name)) }

func (b *bench) write(name, content string) {
	GinkgoHelper()
	Expect(os.MkdirAll(filepath.Dir(b.at(name)), 0o755)).To(Succeed())
	Expect(os.WriteFile(b.at(name), []byte(content), 0o644)).To(Succeed())
}

// module is a buildpack that a test makes up.
type module struct {
	ref   string
	order []string          // a composite's only group
	toml  string            // goes at the end of buildpack.toml
	files map[string]string // besides bin/detect and bin/build
}

// add writes the module's directory, and gives its name.
func (b *bench) add(m module) string {
	GinkgoHelper()
	dir := strings.ReplaceAll(m.ref, "/", "_")
	b.write(dir+"/buildpack.toml", m.descriptor())
	if len(m.order) == 0 {
		b.write(dir+"/bin/detect", "#!/bin/sh\nexit 0\n")
		b.write(dir+"/bin/build", "#!/bin/sh\necho "+m.ref+"\n")
	}
	for name, content := range m.files {
		b.write(dir+"/"+name, content)
	}
	return dir
}

// descriptor is the module's buildpack.toml.
func (m module) descriptor() string {
	id, version, _ := strings.Cut(m.ref, "@")
	s := fmt.Sprintf("api = \"0.10\"\n\n[buildpack]\nid = %q\nversion = %q\n", id, version)
	if len(m.order) > 0 {
		s += "\n[[order]]\n"
	}
	for _, e := range m.order {
		id, version, versioned := strings.Cut(e, "@")
		s += fmt.Sprintf("\n[[order.group]]\nid = %q\n", id)
		if versioned {
			s += fmt.Sprintf("version = %q\n", version)
		}
	}
	return s + m.toml
}

// component adds a component, whose content is told from others' by its ref.
func (b *bench) component(ref string) string {
	GinkgoHelper()
	return b.add(module{ref: ref, files: map[string]string{"lib/data": strings.Repeat(ref+"\n", 100)}})
}

func (b *bench) composite(ref string, order ...string) string {
	GinkgoHelper()
	return b.add(module{ref: ref, order: order})
}

// toml writes a package.toml of the root and its dependencies, and gives its
// path. Names of what is on the bench and locations of other kinds both do.
func (b *bench) toml(root string, dependencies ...string) string {
	GinkgoHelper()
	s := fmt.Sprintf("[buildpack]\nuri = %q\n", root)
	for _, d := range dependencies {
		s += fmt.Sprintf("\n[[dependencies]]\nuri = %q\n", d)
	}
	b.write("package.toml", s)
	return b.at("package.toml")
}

// change alters the options of a run.
type change func(*packager.Options)

func flat(m flatten.Mode) change { return func(o *packager.Options) { o.Grouping.Mode = m } }
func group(patterns ...string) change {
	return func(o *packager.Options) { o.Grouping.Groups = append(o.Grouping.Groups, patterns) }
}
func exclude(patterns ...string) change {
	return func(o *packager.Options) { o.Grouping.Exclude = append(o.Grouping.Exclude, patterns...) }
}
func both(one, other change) change {
	return func(o *packager.Options) { one(o); other(o) }
}
func target(s string) change {
	GinkgoHelper()
	t, err := flatten.ParseTarget(s)
	Expect(err).NotTo(HaveOccurred())
	return func(o *packager.Options) { o.Targets = append(o.Targets, t) }
}

// prepare does the first half of a run, in a work directory of its own.
func (b *bench) prepare(file string, changes ...change) ([]*packager.Job, error) {
	GinkgoHelper()
	config, err := config.ReadPackage(file)
	if err != nil {
		return nil, err
	}
	work := GinkgoT().TempDir()
	o := packager.Options{Config: config, Options: engine.Options{WorkDir: work, Log: &b.log}}
	for _, c := range changes {
		c(&o)
	}
	return packager.Prepare(context.Background(), b.opener(work), o)
}

func (b *bench) opener(work string) *source.Opener {
	return &source.Opener{WorkDir: work, Log: &b.log}
}

// run does a whole run that gives one image, or none.
func (b *bench) run(file string, changes ...change) (*engine.Image, error) {
	GinkgoHelper()
	jobs, err := b.prepare(file, changes...)
	if err != nil {
		Expect(jobs).To(BeNil())
		return nil, err
	}
	Expect(jobs).To(HaveLen(1))
	img, err := jobs[0].Build(context.Background())
	if err != nil {
		return nil, err
	}
	// Whoever writes the image reads it whole: that is when sources that lie
	// are found out where nobody had to read them before.
	return img, readThrough(img.Image)
}

// build does a run that succeeds, and checks what must hold of every image.
func (b *bench) build(file string, changes ...change) *engine.Image {
	GinkgoHelper()
	img, err := b.run(file, changes...)
	Expect(err).NotTo(HaveOccurred())
	expectExact(img)
	return img
}

// fails does a run that must not succeed.
func (b *bench) fails(file string, changes ...change) error {
	GinkgoHelper()
	_, err := b.run(file, changes...)
	Expect(err).To(HaveOccurred())
	Expect(engine.IsBug(err)).To(BeFalse(), "this is no bug in laminate: %v", err)
	return err
}

// keep writes an image where dest says, as laminate does, and gives dest.
func (b *bench) keep(img v1.Image, dest string) string {
	GinkgoHelper()
	to, err := location.ParseDest(dest, location.DestOptions{})
	Expect(err).NotTo(HaveOccurred())
	if to.Path != "" && !filepath.IsAbs(to.Path) {
		to.Path = b.at(to.Path)
	}
	_, err = sink.Write(context.Background(), to, []sink.Image{{Image: img}}, sink.Options{})
	Expect(err).NotTo(HaveOccurred())
	return dest
}

// heard is a log that remembers what it was told.
type heard struct {
	mu       sync.Mutex
	warnings []string
	notes    []string
	tasks    []string
	hook     func()
}

func (h *heard) Warn(message string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.warnings = append(h.warnings, message)
}

func (h *heard) Note(verb progress.Verb, what progress.Subject, _ int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = append(h.notes, string(verb)+" "+what.Name)
}

func (h *heard) Start(verb progress.Verb, what progress.Subject, _ int64) progress.Task {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tasks = append(h.tasks, string(verb)+" "+what.Name)
	return task{h}
}

type task struct{ *heard }

func (t task) Add(int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hook != nil {
		t.hook()
	}
}
func (task) Done(error) {}
