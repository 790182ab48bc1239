package builder_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder"
	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/source"
)

// watchedRegistry is a registry that remembers what was asked of it.
type watchedRegistry struct {
	host   string
	mu     sync.Mutex
	asked  []string
	answer int // instead of its own answers
}

func newRegistry() *watchedRegistry {
	w := &watchedRegistry{}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.asked = append(w.asked, r.Method+" "+r.URL.Path)
		answer := w.answer
		w.mu.Unlock()
		if answer != 0 && r.URL.Path != "/v2/" {
			rw.WriteHeader(answer)
			return
		}
		inner.ServeHTTP(rw, r)
	}))
	DeferCleanup(server.Close)
	w.host = strings.TrimPrefix(server.URL, "http://")
	return w
}

// push puts an image into the registry, without laminate's help.
func (w *watchedRegistry) push(img v1.Image, ref string) string {
	GinkgoHelper()
	tag, err := name.NewTag(w.host + "/" + ref)
	Expect(err).NotTo(HaveOccurred())
	Expect(remote.Write(tag, img)).To(Succeed())
	w.asked = nil
	return "docker://" + w.host + "/" + ref
}

var _ = Describe("several targets", func() {
	var b *bench
	BeforeEach(func() {
		b = newBench()
		b.keepImage("base", baseImage{}.image(), baseImage{arch: "arm64"}.image())
		b.keepImage("run", baseImage{}.image(), baseImage{arch: "arm64"}.image())
		b.Add(module{Ref: "acme/a@1", Files: map[string]string{"linux/amd64/bin/build": "amd64", "linux/arm64/bin/build": "arm64"}})
	})
	const both = "[[targets]]\nos = 'linux'\narch = 'amd64'\n[[targets]]\nos = 'linux'\narch = 'arm64'\n"

	It("give a builder each, of their own build image and buildpacks", func() {
		jobs, err := b.prepare(b.toml(buildpacks("acme_a@1"), order("acme/a"), both))
		Expect(err).NotTo(HaveOccurred())
		Expect(jobs).To(HaveLen(2))
		for i, arch := range []string{"amd64", "arm64"} {
			img, err := jobs[i].Build(context.Background())
			Expect(err).NotTo(HaveOccurred())
			Expect(img.Target).To(Equal(flatten.Target{OS: "linux", Arch: arch}))
			Expect(configOf(img.Image).Architecture).To(Equal(arch))
			Expect(seenIn(img.Image)["/cnb/buildpacks/acme_a/1/bin/build"].Body).To(Equal(arch))
		}
	})

	It("are those of the options, rather than those of the file", func() {
		Expect(b.plan(b.toml(both), target("linux/arm64")).Target).To(Equal(flatten.Target{OS: "linux", Arch: "arm64"}))
	})

	It("may not all be wanted, but one has to", func() {
		only := func(arch string) change {
			return func(o *builder.Options) { o.Fits = func(t flatten.Target) bool { return t.Arch == arch } }
		}
		Expect(b.plan(b.toml(both), only("arm64")).Target.Arch).To(Equal("arm64"))
		Expect(b.fails(b.toml(both), only("s390x"))).To(MatchError("the destination supports none of the targets linux/amd64, linux/arm64"))
	})

	It("have to be for linux", func() {
		Expect(b.fails(b.toml(), target("windows/amd64"))).To(MatchError("unsupported target windows/amd64: laminate makes images for linux only; write linux/amd64 or the like"))
	})

	It("have to be named where the build image is for several", func() {
		Expect(b.message(b.fails(b.toml()))).To(Equal("builder.toml:3: build image oci:base: ambiguous: images for linux/amd64, linux/arm64; choose with --target linux/amd64 or --target linux/arm64"))
	})

	It("have to be what the build image is for", func() {
		Expect(b.message(b.fails(b.toml(both, "[[targets]]\nos = 'linux'\narch = 's390x'\n")))).To(Equal(
			"target linux/s390x: builder.toml:13: build image oci:base: no image for linux/s390x; available: linux/amd64, linux/arm64"))
	})

	It("are told what is wrong with each and with all, at once", func() {
		b.keepImage("base", baseImage{}.image(), baseImage{arch: "arm64", env: []string{"CNB_USER_ID=1"}}.image())
		b.Write("junk.cnb", "junk")
		Expect(b.message(b.fails(b.toml(buildpacks("junk.cnb", "acme_a@1"), order("acme/a"), both)))).To(Equal(
			"builder.toml:1: junk.cnb: unknown kind of archive; use tar, plain or compressed with gzip or zstd, or zip\n" +
				"target linux/arm64: build image oci:base: environment variable CNB_GROUP_ID is missing"))
		Expect(b.message(b.fails(b.toml(buildpacks("gone.cnb", "gone.tgz"), order("acme/a"), both)))).To(Equal(
			`builder.toml:2: source "gone.cnb": gone.cnb does not exist` + "\n" + `builder.toml:5: source "gone.tgz": gone.tgz does not exist`))
	})
})

var _ = Describe("a build image", func() {
	DescribeTable("says who builds", func(env []string, want string) {
		b := newBench()
		b.keepImage("base", baseImage{env: env}.image())
		Expect(b.message(b.fails(b.toml()))).To(Equal(want))
	},
		Entry("in none of its variables", []string{"A=b"}, "build image oci:base: environment variable CNB_USER_ID is missing\nbuild image oci:base: environment variable CNB_GROUP_ID is missing"),
		Entry("in words", []string{"CNB_USER_ID=cnb", "CNB_GROUP_ID=-1"},
			`build image oci:base: environment variable CNB_USER_ID is "cnb"; it must be a number`+"\n"+`build image oci:base: environment variable CNB_GROUP_ID is "-1"; it must be a number`),
	)

	DescribeTable("has to be what buildpacks are for", func(base baseImage, toml, want string) {
		b := newBench()
		b.keepImage("base", base.image())
		b.Add(module{Ref: "acme/a@1", TOML: toml})
		file := b.toml(buildpacks("acme_a@1"), order("acme/a"))
		if want == "" {
			b.build(file)
			return
		}
		Expect(b.message(b.fails(file))).To(Equal("acme_a@1/buildpack.toml: buildpack acme/a@1 " + want))
	},
		Entry("anything", baseImage{}, "", ""),
		Entry("its architecture", baseImage{}, "\n[[targets]]\nos = 'linux'\narch = 'amd64'\n", ""),
		Entry("another architecture", baseImage{}, "\n[[targets]]\nos = 'linux'\narch = 'arm64'\n", "is for linux/arm64, but the build image is linux/amd64"),
		Entry("its distribution", ubuntu, "\n[[targets]]\nos = 'linux'\n[[targets.distros]]\nname = 'ubuntu'\nversion = '24.04'\n", ""),
		Entry("another distribution", ubuntu, "\n[[targets]]\nos = 'linux'\n[[targets.distros]]\nname = 'debian'\nversion = '12'\n", "is for linux:debian@12, but the build image is linux/amd64:ubuntu@24.04"),
		Entry("a distribution, where the image names none", baseImage{}, "\n[[targets]]\nos = 'linux'\n[[targets.distros]]\nname = 'debian'\nversion = '12'\n", ""),
		Entry("its stack", stacked, "\n[[stacks]]\nid = 's'\nmixins = ['m', 'run:x']\n", ""),
		Entry("any stack", baseImage{}, "\n[[stacks]]\nid = '*'\n", ""),
		Entry("another stack", stacked, "\n[[stacks]]\nid = 't'\n", "is for stack t, but the build image has stack s"),
		Entry("a stack, where the image names none", baseImage{}, "\n[[stacks]]\nid = 't'\n", "is for stack t, but the build image has no stack"),
		Entry("more mixins", stacked, "\n[[stacks]]\nid = 's'\nmixins = ['n', 'build:o']\n", "needs mixins that the build image lacks: n, build:o"),
	)
})

var (
	ubuntu  = baseImage{labels: map[string]string{"io.buildpacks.base.distro.name": "ubuntu", "io.buildpacks.base.distro.version": "24.04"}}
	stacked = baseImage{labels: map[string]string{"io.buildpacks.stack.id": "s", "io.buildpacks.stack.mixins": `["m"]`}}
)

var _ = Describe("run images", func() {
	var b *bench
	BeforeEach(func() { b = newBench() })
	file := func(ref string) string { return b.toml(fmt.Sprintf("[[run.images]]\nimage = %q\n", ref)) }

	DescribeTable("that are not to be had are a warning", func(status int, want string) {
		w := newRegistry()
		w.answer = status
		b.build(file("docker://" + w.host + "/run"))
		Expect(b.Log.Warnings).To(ConsistOf(And(ContainSubstring("/builder.toml:1: run image docker://"+w.host+"/run: registry "), ContainSubstring(want), HaveSuffix("; skip the check with --skip-run-image-check"))))
	},
		Entry("gone", 404, "404 Not Found"),
		Entry("for others", 403, "403 Forbidden"),
	)

	It("that cannot be asked after are an error", func() {
		w := newRegistry()
		w.answer = 400
		Expect(b.message(b.fails(file("docker://" + w.host + "/run")))).To(HavePrefix("builder.toml:1: run image docker://" + w.host + "/run: registry " + w.host + ": 400 Bad Request"))
	})

	It("have to be for the target", func() {
		b.keepImage("run", baseImage{arch: "arm64"}.image())
		Expect(b.message(b.fails(file("oci:run")))).To(Equal("builder.toml:1: run image oci:run: no image for linux/amd64; available: linux/arm64; skip the check with --skip-run-image-check"))
	})

	It("are looked at with their mirrors, by their metadata only", func() {
		w := newRegistry()
		image, mirror := w.push(baseImage{}.image(), "run"), w.push(baseImage{}.image(), "mirror")
		b.build(b.toml(fmt.Sprintf("[[run.images]]\nimage = %q\nmirrors = [%q]\n", image, mirror)))
		Expect(w.asked).To(ContainElements("GET /v2/run/manifests/latest", "GET /v2/mirror/manifests/latest"))
		config, err := baseImage{}.image().ConfigName()
		Expect(err).NotTo(HaveOccurred())
		for _, a := range w.asked {
			if strings.Contains(a, "/blobs/") {
				Expect(a).To(HaveSuffix(config.String())) // no layers
			}
		}
	})

	It("are left unseen where that is asked for: nobody is called, by name or address", func() {
		var dials atomic.Int32
		config, problems, err := config.ReadBuilder(b.toml("[[run.images]]\nimage = 'docker://127.0.0.1:1/run'\nmirrors = ['example.invalid/run']\n"))
		Expect(err).NotTo(HaveOccurred())
		Expect(problems).To(BeEmpty())
		work := GinkgoT().TempDir()
		open := &source.Opener{WorkDir: work, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			dials.Add(1)
			return nil, fmt.Errorf("nobody is to be called")
		})}
		o := builder.Options{Config: config, Options: engine.Options{WorkDir: work}}
		_, err = builder.Prepare(context.Background(), open, o)
		Expect(err).To(HaveOccurred())
		Expect(dials.Load()).NotTo(BeZero()) // so it is this that they go through
		dials.Store(0)
		o.SkipRunImages = true
		jobs, err := builder.Prepare(context.Background(), open, o)
		Expect(err).NotTo(HaveOccurred())
		_, err = jobs[0].Build(context.Background())
		Expect(err).NotTo(HaveOccurred())
		Expect(dials.Load()).To(BeZero())
	})
})

type roundTrip func(*http.Request) (*http.Response, error)

func (r roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return r(req) }

var _ = Describe("what builder.toml says of its sources and orders", func() {
	It("has to be true, all of it at once", func() {
		b := newBench()
		b.Component("acme/node@1.0.0")
		b.Component("acme/npm@1")
		b.Component("acme/npm@2")
		b.Extension("acme/x@1")
		file := b.toml("[[buildpacks]]\nuri = 'acme_node@1.0.0'\nversion = '2.0.0'\n[[buildpacks]]\nuri = 'acme_npm@1'\nid = 'acme/yarn'\n[[buildpacks]]\nuri = 'acme_npm@2'\n",
			"[[extensions]]\nuri = 'acme_x@1'\nid = 'acme/y'\n", order("acme/nod acme/npm"), orderExtensions("acme/x@2"), "[[system.pre.buildpacks]]\nid = 'acme/sys'\n[[system.post.buildpacks]]\nid = 'zzz'\n")
		Expect(strings.Split(b.message(b.fails(file)), "\n")).To(Equal([]string{
			"builder.toml:1: acme_node@1.0.0 holds acme/node@1.0.0, not acme/node@2.0.0",
			"builder.toml:4: acme_npm@1 holds acme/npm@1, not acme/yarn@1",
			"builder.toml:10: acme_x@1 holds acme/x@1, not acme/y@1",
			`builder.toml:15: unknown buildpack "acme/nod"; did you mean acme/node@1.0.0, acme/npm@1 or acme/npm@2?`,
			`builder.toml:17: ambiguous buildpack "acme/npm": found acme/npm@1, acme/npm@2; name one`,
			`builder.toml:21: unknown extension "acme/x@2"; did you mean acme/x@1?`,
			`builder.toml:25: unknown buildpack "acme/sys"; did you mean acme/npm@1 or acme/npm@2?`,
			`builder.toml:27: unknown buildpack "zzz"; list its source in [[buildpacks]]`,
		}))
	})

	It("may not take laminate's own labels", func() {
		b := newBench()
		Expect(b.fails(b.toml(), func(o *builder.Options) {
			o.Labels = map[string]string{"a": "b", "io.buildpacks.builder.metadata": "{}", "io.buildpacks.buildpack.order": "null"}
		})).To(MatchError("label io.buildpacks.builder.metadata is reserved; choose another name\nlabel io.buildpacks.buildpack.order is reserved; choose another name"))
		img := b.build(b.toml(), func(o *builder.Options) { o.Labels = map[string]string{"org.example.kept": "no"} })
		Expect(labelOf(img.Image, "org.example.kept")).To(Equal("no"))
	})

	It("may name composites whose orders are whole only", func() {
		b := newBench()
		b.Composite("acme/left@1", "acme/gone@1")
		Expect(b.message(b.fails(b.toml(buildpacks("acme_left@1"), order("acme/left"))))).To(Equal("acme_left@1/buildpack.toml:9: missing buildpack acme/gone@1; no source provides it"))
	})
})
