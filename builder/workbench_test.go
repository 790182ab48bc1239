package builder_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder"
	"laminate/flatten"
	"laminate/packager"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/location"
	"laminate/packager/progress"
	"laminate/packager/sink"
	"laminate/packager/source"
)

// A bench is a directory in which a test makes a builder and all that it is
// made of. A new one has a build image, oci:base, a run image, oci:run, and a
// lifecycle, lifecycle.tgz.
type bench struct {
	dir string
	log heard
}

func newBench() *bench {
	GinkgoHelper()
	b := &bench{dir: GinkgoT().TempDir()}
	b.keepImage("base", baseImage{}.image())
	b.keepImage("run", baseImage{name: "run"}.image())
	b.write("lifecycle.tgz", gz(tarOf(lifecycleFiles{}.entries()...)))
	return b
}

// at is the absolute path of something on the bench.
func (b *bench) at(name string) string { return filepath.Join(b.dir, filepath.FromSlash(name)) }

func (b *bench) write(name, content string) {
	GinkgoHelper()
	Expect(os.MkdirAll(filepath.Dir(b.at(name)), 0o755)).To(Succeed())
	Expect(os.WriteFile(b.at(name), []byte(content), 0o644)).To(Succeed())
}

// module is a buildpack or an extension that a test makes up.
type module struct {
	ref   string
	api   string            // "" is 0.10
	order []string          // a composite's only group
	toml  string            // goes at the end of the descriptor
	files map[string]string // besides the executables
}

// add writes a buildpack's directory, and gives its name.
func (b *bench) add(m module) string {
	GinkgoHelper()
	dir := strings.ReplaceAll(m.ref, "/", "_")
	b.write(dir+"/buildpack.toml", m.descriptor("buildpack"))
	if len(m.order) == 0 {
		b.write(dir+"/bin/detect", "#!/bin/sh\nexit 0\n")
		b.write(dir+"/bin/build", "#!/bin/sh\necho "+m.ref+"\n")
	}
	for name, content := range m.files {
		b.write(dir+"/"+name, content)
	}
	return dir
}

func (b *bench) extension(ref string) string {
	GinkgoHelper()
	dir := strings.ReplaceAll(ref, "/", "_")
	b.write(dir+"/extension.toml", module{ref: ref}.descriptor("extension"))
	b.write(dir+"/bin/generate", "#!/bin/sh\necho "+ref+"\n")
	return dir
}

func (m module) descriptor(table string) string {
	id, version, _ := strings.Cut(m.ref, "@")
	api := m.api
	if api == "" {
		api = "0.10"
	}
	s := fmt.Sprintf("api = %q\n\n[%s]\nid = %q\nversion = %q\n", api, table, id, version)
	if len(m.order) > 0 {
		s += "\n[[order]]\n"
	}
	for _, e := range m.order {
		s += "\n[[order.group]]\n" + entryTOML(e)
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

// pack makes a buildpackage of a buildpack and its dependencies, dest.
func (b *bench) pack(dest string, mode flatten.Mode, root string, dependencies ...string) string {
	GinkgoHelper()
	toml := fmt.Sprintf("[buildpack]\nuri = %q\n", root)
	for _, d := range dependencies {
		toml += fmt.Sprintf("\n[[dependencies]]\nuri = %q\n", d)
	}
	b.write("package.toml", toml)
	config, err := config.ReadPackage(b.at("package.toml"))
	Expect(err).NotTo(HaveOccurred())
	work := GinkgoT().TempDir()
	jobs, err := packager.Prepare(context.Background(), b.opener(work), packager.Options{Config: config, Options: engine.Options{WorkDir: work, Grouping: flatten.Grouping{Mode: mode}}})
	Expect(err).NotTo(HaveOccurred())
	img, err := jobs[0].Build(context.Background())
	Expect(err).NotTo(HaveOccurred())
	to, err := location.ParseDest(dest, location.DestOptions{})
	Expect(err).NotTo(HaveOccurred())
	if to.Path != "" {
		to.Path = b.at(to.Path)
	}
	_, err = sink.Write(context.Background(), to, []sink.Image{{Image: img.Image}}, sink.Options{})
	Expect(err).NotTo(HaveOccurred())
	return dest
}

// toml writes a builder.toml that uses what a new bench has, but for what is
// in the sections. It gives its path.
func (b *bench) toml(sections ...string) string {
	GinkgoHelper()
	s := strings.Join(sections, "\n")
	for _, d := range []struct{ table, text string }{
		{"[build]", "[build]\nimage = \"oci:base\"\n"},
		{"[[run.images]]", "[[run.images]]\nimage = \"oci:run\"\n"},
		{"[lifecycle]", "[lifecycle]\nuri = \"lifecycle.tgz\"\n"},
	} {
		if !strings.Contains(s, d.table) && !strings.Contains(s, "[stack]") || d.table == "[lifecycle]" && !strings.Contains(s, d.table) {
			s += "\n" + d.text
		}
	}
	b.write("builder.toml", s)
	return b.at("builder.toml")
}

// buildpacks lists sources for a builder.toml.
func buildpacks(uris ...string) string { return list("buildpacks", uris) }

func extensions(uris ...string) string { return list("extensions", uris) }

func list(table string, uris []string) (s string) {
	for _, u := range uris {
		s += fmt.Sprintf("[[%s]]\nuri = %q\n\n", table, u)
	}
	return s
}

// order writes groups: "a@1 b@2?" is one, whose second entry is optional.
func order(groups ...string) string { return orderOf("order", groups) }

func orderExtensions(groups ...string) string { return orderOf("order-extensions", groups) }

func orderOf(key string, groups []string) (s string) {
	for _, g := range groups {
		s += "[[" + key + "]]\n"
		for e := range strings.FieldsSeq(g) {
			s += "[[" + key + ".group]]\n" + entryTOML(e)
		}
	}
	return s
}

func entryTOML(e string) string {
	e, optional := strings.CutSuffix(e, "?")
	id, version, versioned := strings.Cut(e, "@")
	s := fmt.Sprintf("id = %q\n", id)
	if versioned {
		s += fmt.Sprintf("version = %q\n", version)
	}
	if optional {
		s += "optional = true\n"
	}
	return s
}

// change alters the options of a run.
type change func(*builder.Options)

func flat(m flatten.Mode) change { return func(o *builder.Options) { o.Grouping.Mode = m } }
func group(patterns ...string) change {
	return func(o *builder.Options) { o.Grouping.Groups = append(o.Grouping.Groups, patterns) }
}
func exclude(patterns ...string) change {
	return func(o *builder.Options) { o.Grouping.Exclude = append(o.Grouping.Exclude, patterns...) }
}
func atMost(n int) change { return func(o *builder.Options) { o.MaxLayers = n } }
func target(s string) change {
	GinkgoHelper()
	t, err := flatten.ParseTarget(s)
	Expect(err).NotTo(HaveOccurred())
	return func(o *builder.Options) { o.Targets = append(o.Targets, t) }
}

// prepare does the first half of a run, in a work directory of its own.
func (b *bench) prepare(file string, changes ...change) ([]*builder.Job, error) {
	GinkgoHelper()
	config, problems, err := config.ReadBuilder(file)
	Expect(err).NotTo(HaveOccurred())
	if err := problems.Err(); err != nil {
		return nil, err
	}
	work := GinkgoT().TempDir()
	o := builder.Options{Config: config, Version: "1.2.3", Options: engine.Options{WorkDir: work, Log: &b.log}}
	for _, c := range changes {
		c(&o)
	}
	jobs, err := builder.Prepare(context.Background(), b.opener(work), o)
	if err != nil {
		Expect(jobs).To(BeNil())
		Expect(engine.IsBug(err)).To(BeFalse(), "this is no bug in laminate: %v", err)
	}
	return jobs, err
}

func (b *bench) opener(work string) *source.Opener {
	return &source.Opener{WorkDir: work, Log: &b.log}
}

// plan does the first half of a run that succeeds for one target.
func (b *bench) plan(file string, changes ...change) *builder.Job {
	GinkgoHelper()
	jobs, err := b.prepare(file, changes...)
	Expect(err).NotTo(HaveOccurred())
	Expect(jobs).To(HaveLen(1))
	return jobs[0]
}

// build does a run that succeeds, and checks what must hold of every builder.
func (b *bench) build(file string, changes ...change) *engine.Image {
	GinkgoHelper()
	job := b.plan(file, changes...)
	img, err := job.Build(context.Background())
	Expect(err).NotTo(HaveOccurred())
	expectExact(img.Image, len(job.Doubled()) > 0)
	Expect(configOf(img.Image).RootFS.DiffIDs).To(HaveLen(job.Layers.Total()))
	return img
}

// fails does a run that must not succeed.
func (b *bench) fails(file string, changes ...change) error {
	GinkgoHelper()
	_, err := b.prepare(file, changes...)
	Expect(err).To(HaveOccurred())
	return err
}

// message is what a failing run says, without the bench's own path.
func (b *bench) message(err error) string { return strings.ReplaceAll(err.Error(), b.dir+"/", "") }

// heard is a log that remembers what it was told.
type heard struct {
	mu       sync.Mutex
	warnings []string
	tasks    []string
	reused   []string
}

func (h *heard) Warn(message string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.warnings = append(h.warnings, message)
}

func (h *heard) Note(verb progress.Verb, what progress.Subject, _ int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if verb == progress.Reused {
		h.reused = append(h.reused, what.Name)
	}
}

func (h *heard) Start(verb progress.Verb, what progress.Subject, _ int64) progress.Task {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tasks = append(h.tasks, string(verb)+" "+what.Name)
	return progress.Discard.Start(verb, what, 0)
}

// isNew says which layers the previous image lacks.
func isNew(o builder.Outlook) (fresh []bool) {
	for i := range o.Layers {
		fresh = append(fresh, o.IsNew(i))
	}
	return fresh
}

func remove(path string) {
	GinkgoHelper()
	Expect(os.RemoveAll(path)).To(Succeed())
}
