package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/cli"
	"laminate/fixtures"
	"laminate/fixtures/workbench"
)

// enterBuilder makes a working directory with all that builder.toml in it
// needs: a build image for two platforms, a lifecycle, two composites packaged
// into a layer each, which share a component, and a component of its own.
func enterBuilder() {
	GinkgoHelper()
	before, err := os.Getwd()
	Expect(err).NotTo(HaveOccurred())
	Expect(os.Chdir(GinkgoT().TempDir())).To(Succeed())
	DeferCleanup(os.Chdir, before)

	img, err := fixtures.BaseImage("")
	Expect(err).NotTo(HaveOccurred())
	path, err := layout.Write("base", empty.Index)
	Expect(err).NotTo(HaveOccurred())
	for _, arch := range []string{"amd64", "arm64"} {
		config, err := img.ConfigFile()
		Expect(err).NotTo(HaveOccurred())
		config = config.DeepCopy()
		config.Architecture = arch
		one, err := mutate.ConfigFile(img, config)
		Expect(err).NotTo(HaveOccurred())
		Expect(path.AppendImage(one, layout.WithPlatform(v1.Platform{OS: "linux", Architecture: arch}))).To(Succeed())
	}
	put("lifecycle.tgz", workbench.LifecycleArchive())
	for _, c := range []string{"a", "b", "shared", "alone"} {
		putBuildpack(c)
	}
	for _, c := range [][]string{{"left", "a", "shared"}, {"right", "b", "shared"}} {
		putBuildpack(c[0], c[1:]...)
		toml := fmt.Sprintf("[buildpack]\nuri = %q\n", c[0])
		for _, d := range c[1:] {
			toml += fmt.Sprintf("[[dependencies]]\nuri = %q\n", d)
		}
		put(c[0]+".toml", toml)
		Expect(laminate("package", "-q", c[0]+".cnb", "-c", c[0]+".toml", "--flatten-layers=all").code).To(BeZero())
	}
	put("builder.toml", `
[[buildpacks]]
uri = "left.cnb"
[[buildpacks]]
uri = "right.cnb"
[[buildpacks]]
uri = "alone"
[[order]]
[[order.group]]
id = "acme/left"
[[order.group]]
id = "acme/right"
[[order.group]]
id = "acme/alone"
[build]
image = "oci:base"
[[run.images]]
image = "docker://127.0.0.1:1/run"
[lifecycle]
uri = "lifecycle.tgz"
`)
}

func put(name, content string) {
	GinkgoHelper()
	Expect(os.MkdirAll(filepath.Dir(name), 0o755)).To(Succeed())
	Expect(os.WriteFile(name, []byte(content), 0o644)).To(Succeed())
}

func putBuildpack(name string, order ...string) {
	GinkgoHelper()
	toml := fmt.Sprintf("api = \"0.10\"\n[buildpack]\nid = \"acme/%s\"\nversion = \"1\"\n", name)
	if len(order) == 0 {
		put(name+"/bin/detect", "#!/bin/sh\n")
		put(name+"/bin/build", "#!/bin/sh\n")
	} else {
		toml += "[[order]]\n"
	}
	for _, o := range order {
		toml += fmt.Sprintf("[[order.group]]\nid = \"acme/%s\"\nversion = \"1\"\n", o)
	}
	put(name+"/buildpack.toml", toml)
}

// create runs "builder create" for one platform, without checking run images.
func create(args ...string) result {
	GinkgoHelper()
	return laminate(slices.Concat([]string{"builder", "create", "-c", "builder.toml", "-t", "linux/amd64", "--skip-run-image-check"}, args)...)
}

var _ = Describe("builder create", func() {
	BeforeEach(enterBuilder)

	It("takes --flatten in pack's spelling and in its own, before and after DEST", func() {
		grouped := digest(create("oci:one", "--flatten=acme/a@1,acme/alone@1"))
		Expect(digest(create("--flatten", "acme/a@1,acme/alone@1", "oci:two"))).To(Equal(grouped))
		Expect(digest(create("oci:three", "--flatten", "acme/a@1,acme/alone@1"))).To(Equal(grouped))
		Expect(digest(create("oci:four", "--flatten=none", "--flatten=acme/a,acme/alone"))).To(Equal(grouped))
		composites := digest(create("oci:five", "--flatten"))
		Expect(digest(create("--flatten", "oci:six"))).To(Equal(composites))
		Expect(digest(create("--flatten=composites", "oci:seven"))).To(Equal(composites))
		Expect(composites).NotTo(Equal(grouped))
	})

	DescribeTable("refuses what makes no sense, before anything is tried", func(want string, args ...string) {
		r := laminate(append([]string{"builder", "create"}, args...)...)
		Expect(r).To(Equal(result{2, "", "laminate: " + want + "\nSee: laminate builder create --help\n"}))
	},
		Entry("no DEST", "DEST is missing; name where to write, as in out.cnb or docker://REF", "-c", "builder.toml"),
		Entry("no config", "--config is missing; name the builder.toml to read", "oci:out"),
		Entry("a value of --flatten after a space", `misplaced value "composites"; write it behind an equals sign: --flatten=composites`, "-c", "builder.toml", "--flatten", "composites", "oci:out"),
		Entry("a list without versions", `misplaced value "acme/a,acme/b"; write it behind an equals sign: --flatten=acme/a,acme/b`, "-c", "builder.toml", "--flatten", "acme/a,acme/b", "oci:out"),
		Entry("a list and no DEST", "2 problems:\n   misplaced value \"acme/a@1\"; write it behind an equals sign: --flatten=acme/a@1\n   DEST is missing; name where to write, as in out.cnb or docker://REF", "-c", "builder.toml", "--flatten", "acme/a@1"),
		Entry("two modes", `invalid value "all" for --flatten; the mode is composites already; leave one of the two out`, "-c", "builder.toml", "--flatten", "--flatten=all", "oci:out"),
		Entry("no layers", "invalid --max-layers 0; write a number from 1 to 125, which is what container engines load", "-c", "builder.toml", "--max-layers", "0", "oci:out"),
	)

	It("names the default lifecycle in its help", func() {
		Expect(laminate("builder", "create", "--help").stdout).To(ContainSubstring("the builder has lifecycle 0.21.0"))
	})

	It("fails for a ref that means nothing, with what is near it", func() {
		r := create("oci:out", "--flatten=acme/alon@1,acme/left", "--flatten-exclude=acme/b@2")
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(HavePrefix("laminate: 2 problems:\n   unknown buildpack \"acme/alon@1\"; did you mean acme/alone@1, "))
		Expect(r.stderr).To(ContainSubstring("\n   unknown buildpack \"acme/b@2\"; did you mean acme/"))
		Expect("out").NotTo(BeADirectory())
	})

	It("leaves no output over budget, and says what would fit", func() {
		r := create("oci:out", "--max-layers", "7")
		Expect(r).To(Equal(result{1, "", `laminate: too many layers: 9, the limit is 7:
   1  build image
   1  lifecycle
   1  configuration
   2  composite acme/left@1
   1  shared by several composites
   2  composite acme/right@1
   1  top-level components
With --flatten=composites it would have 7, and --flatten=auto keeps to 7.
`}))
		Expect("out").NotTo(BeADirectory())
		Expect(create("oci:out", "--max-layers", "7", "--flatten=composites").code).To(BeZero())
		Expect(create("oci:none", "--max-layers", "3").stderr).To(HaveSuffix("Even with --flatten=all it would have 4. Raise --max-layers to 4, or use a build image with fewer layers.\n"))
	})

	It("prints its plan, with what is doubled, and writes nothing", func() {
		r := create("oci:out", "--dry-run", "--flatten=as-packaged")
		Expect(r.stdout).To(Equal(`builder for linux/amd64: 6 layers of at most 119, 113 to spare
   1  build image
   1  lifecycle
   1  configuration
   1  composite acme/left@1
   1  composite acme/right@1
   1  top-level components
6 buildpacks in 3 layers:
   1    11.3 kB  acme/left@1    as packaged
                 acme/a@1
                 acme/shared@1
   2     6.7 kB  acme/right@1   as packaged
                 acme/b@1
   3     4.6 kB  acme/alone@1   alone
22.5 kB unpacked
twice: acme/shared@1, in layer 1 and again in layer 2, 4.6 kB unpacked
`))
		Expect("out").NotTo(BeADirectory())
	})

	It("makes a builder without buildpacks of the same file", func() {
		Expect(create("oci:out", "--buildpackless").code).To(BeZero())
		index, err := layout.ImageIndexFromPath("out")
		Expect(err).NotTo(HaveOccurred())
		manifest, err := index.IndexManifest()
		Expect(err).NotTo(HaveOccurred())
		img, err := index.Image(manifest.Manifests[0].Digest)
		Expect(err).NotTo(HaveOccurred())
		layers, err := img.Layers()
		Expect(err).NotTo(HaveOccurred())
		Expect(layers).To(HaveLen(3))
	})

	It("tells of run images that are not there to be asked", func() {
		r := laminate("builder", "create", "-c", "builder.toml", "-t", "linux/amd64", "oci:out")
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(HavePrefix("laminate: builder.toml:17: run image docker://127.0.0.1:1/run: registry 127.0.0.1:1: connection refused"))
		Expect(r.stderr).To(HaveSuffix("; skip the check with --skip-run-image-check\n"))
		Expect("out").NotTo(BeADirectory())
	})

	It("fetches the lifecycle from LAMINATE_LIFECYCLE_URL", func() {
		content, asked := workbench.LifecycleArchive(), ""
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = r.URL.Path
			_, _ = io.WriteString(w, content)
		}))
		defer server.Close()
		toml, err := os.ReadFile("builder.toml")
		Expect(err).NotTo(HaveOccurred())
		put("builder.toml", strings.Replace(string(toml), `uri = "lifecycle.tgz"`, `version = "0.21.0"`, 1))
		tmp := GinkgoT().TempDir()
		env := func(name string) string {
			return map[string]string{"TMPDIR": tmp, "LAMINATE_LIFECYCLE_URL": server.URL + "/{version}/{arch}"}[name]
		}
		var said bytes.Buffer
		Expect(cli.Run(context.Background(), []string{"laminate", "builder", "create", "-c", "builder.toml", "-t", "linux/amd64", "--skip-run-image-check", "oci:out"}, &said, &said, env)).To(BeZero(), said.String())
		Expect(asked).To(Equal("/0.21.0/x86-64"))
	})

	It("is for what the Docker daemon runs, where nobody says what for", func() {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Api-Version", "1.44")
			if strings.HasSuffix(r.URL.Path, "/version") {
				_, _ = io.WriteString(w, `{"Os":"linux","Arch":"arm64"}`)
			}
		}))
		defer server.Close()
		docker := map[string]string{"DOCKER_HOST": "tcp://" + strings.TrimPrefix(server.URL, "http://")}
		r := laminateWith(docker, "builder", "create", "-c", "builder.toml", "--skip-run-image-check", "--dry-run", "acme/builder")
		Expect(r.stdout).To(HavePrefix("builder for linux/arm64: "), r.stderr)
	})
})

var _ = Describe("builder create for several targets", func() {
	var mu sync.Mutex
	var writes []string
	var host string
	BeforeEach(func() {
		enterBuilder()
		writes = nil
		inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet && r.Method != http.MethodHead {
				mu.Lock()
				writes = append(writes, r.Method+" "+r.URL.Path)
				mu.Unlock()
			}
			inner.ServeHTTP(w, r)
		}))
		DeferCleanup(server.Close)
		host = strings.TrimPrefix(server.URL, "http://")
	})
	both := func(args ...string) result {
		GinkgoHelper()
		return laminate(slices.Concat([]string{"builder", "create", "-c", "builder.toml", "--skip-run-image-check", "-t", "linux/amd64", "-t", "linux/arm64"}, args)...)
	}

	It("pushes the images, then the index, and the tags last; every tag gets the index", func() {
		tags := []string{host + "/acme/builder:latest", host + "/acme/builder:1", host + "/other/builder:2"}
		r := both("docker://"+tags[0], "--tag", tags[1], "--tag", tags[2])
		d := digest(r)
		Expect(strings.Count(r.stdout, d)).To(Equal(3))
		last := writes[len(writes)-3:]
		Expect(last).To(ConsistOf("PUT /v2/acme/builder/manifests/latest", "PUT /v2/acme/builder/manifests/1", "PUT /v2/other/builder/manifests/2"))
		for _, w := range writes[:len(writes)-3] {
			Expect(w).To(Or(ContainSubstring("/blobs/"), ContainSubstring("/manifests/sha256:")))
		}
		for _, t := range tags {
			tag, err := name.NewTag(t)
			Expect(err).NotTo(HaveOccurred())
			index, err := remote.Index(tag)
			Expect(err).NotTo(HaveOccurred())
			Expect(index.Digest()).To(HaveField("String()", d))
			manifest, err := index.IndexManifest()
			Expect(err).NotTo(HaveOccurred())
			Expect(manifest.Manifests).To(HaveLen(2))
			for i, arch := range []string{"amd64", "arm64"} {
				Expect(manifest.Manifests[i].Platform.Architecture).To(Equal(arch))
			}
		}
	})

	It("writes nothing before all of them are found to be right", func() {
		putBuildpack("alone")
		put("alone/buildpack.toml", "api = \"0.10\"\n[buildpack]\nid = \"acme/alone\"\nversion = \"1\"\n[[targets]]\nos = \"linux\"\narch = \"amd64\"\n")
		r := both("docker://" + host + "/acme/builder")
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(ContainSubstring("target linux/arm64: alone/buildpack.toml: buildpack acme/alone@1 is for linux/amd64, but the build image is linux/arm64"))
		Expect(r.stdout).To(BeEmpty())
		Expect(writes).To(BeEmpty())
	})
})

var _ = Describe("package --flatten-layers=as-packaged", func() {
	It("tells what is doubled", func() {
		enterBuilder()
		putBuildpack("top", "left", "right")
		put("top.toml", "[buildpack]\nuri = \"top\"\n[[dependencies]]\nuri = \"left.cnb\"\n[[dependencies]]\nuri = \"right.cnb\"\n")
		r := laminate("package", "-c", "top.toml", "--flatten-layers=as-packaged", "--dry-run", "out.cnb")
		Expect(r.stdout).To(HaveSuffix("twice: acme/shared@1, in layer 1 and again in layer 2, 4.6 kB unpacked\n"), r.stderr)
	})
})
