package packager_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures/workbench"
	"laminate/flatten"
	"laminate/packager"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/source"
)

// A bench is a directory in which a test makes modules and packages of them.
type bench struct{ *workbench.Bench }

type module = workbench.Module

func newBench() *bench { return &bench{workbench.New()} }

// toml writes a package.toml of the root and its dependencies, and gives its
// path. Names of what is on the bench and locations of other kinds both do.
func (b *bench) toml(root string, dependencies ...string) string {
	GinkgoHelper()
	b.Write("package.toml", workbench.PackageTOML(root, dependencies...))
	return b.At("package.toml")
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
	o := packager.Options{Config: config, Options: engine.Options{WorkDir: work, Log: &b.Log}}
	for _, c := range changes {
		c(&o)
	}
	return packager.Prepare(context.Background(), b.opener(work), o)
}

func (b *bench) opener(work string) *source.Opener {
	return &source.Opener{WorkDir: work, Log: &b.Log}
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
