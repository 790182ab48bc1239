package builder_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder"
	"laminate/fixtures/workbench"
	"laminate/flatten"
	"laminate/packager"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/source"
)

// A bench is a directory in which a test makes a builder and all that it is
// made of. A new one has a build image, oci:base, a run image, oci:run, and a
// lifecycle, lifecycle.tgz.
type bench struct{ *workbench.Bench }

type module = workbench.Module

func newBench() *bench {
	GinkgoHelper()
	b := &bench{workbench.New()}
	b.keepImage("base", baseImage{}.image())
	b.keepImage("run", baseImage{name: "run"}.image())
	b.Write("lifecycle.tgz", gz(tarOf(lifecycleFiles{}.entries()...)))
	return b
}

// pack makes a buildpackage of a buildpack and its dependencies, dest.
func (b *bench) pack(dest string, mode flatten.Mode, root string, dependencies ...string) string {
	GinkgoHelper()
	b.Write("package.toml", workbench.PackageTOML(root, dependencies...))
	config, err := config.ReadPackage(b.At("package.toml"))
	Expect(err).NotTo(HaveOccurred())
	work := GinkgoT().TempDir()
	jobs, err := packager.Prepare(context.Background(), b.opener(work), packager.Options{Config: config, Options: engine.Options{WorkDir: work, Grouping: flatten.Grouping{Mode: mode}}})
	Expect(err).NotTo(HaveOccurred())
	img, err := jobs[0].Build(context.Background())
	Expect(err).NotTo(HaveOccurred())
	return b.Keep(img.Image, dest)
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
	b.Write("builder.toml", s)
	return b.At("builder.toml")
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
			s += "[[" + key + ".group]]\n" + workbench.EntryTOML(e)
		}
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
	o := builder.Options{Config: config, Version: "1.2.3", Options: engine.Options{WorkDir: work, Log: &b.Log}}
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
	return &source.Opener{WorkDir: work, Log: &b.Log}
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
	expectExact(img.Image, slices.ContainsFunc(img.Layers, func(l engine.Layer) bool { return len(l.Plan.Extra) > 0 }))
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
func (b *bench) message(err error) string { return strings.ReplaceAll(err.Error(), b.Dir+"/", "") }

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
