package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke/sandbox"
	"laminate/fixtures"
	"laminate/fixtures/workbench"
)

// putRunnable writes a component buildpack that always takes part, and prints words.
func putRunnable(dir, ref, words string) {
	GinkgoHelper()
	id, version, _ := strings.Cut(ref, "@")
	put(dir+"/buildpack.toml", fmt.Sprintf("api = \"0.10\"\n[buildpack]\nid = %q\nversion = %q\n[[targets]]\nos = \"linux\"\n", id, version))
	put(dir+"/bin/detect", "#!/bin/sh\n")
	put(dir+"/bin/build", "#!/bin/sh\necho '"+words+"'\n")
}

// putOrder writes a composite buildpack with one group.
func putOrder(dir, ref string, entries ...string) {
	GinkgoHelper()
	id, version, _ := strings.Cut(ref, "@")
	toml := fmt.Sprintf("api = \"0.10\"\n[buildpack]\nid = %q\nversion = %q\n[[order]]\n", id, version)
	for _, e := range entries {
		id, version, _ := strings.Cut(e, "@")
		toml += fmt.Sprintf("[[order.group]]\nid = %q\nversion = %q\n", id, version)
	}
	put(dir+"/buildpack.toml", toml)
}

// enterSmoke makes a working directory with a run image, a builder of acme/a@1 and acme/b@1, one
// without buildpacks, an app, and buildpacks to add. It skips the spec where there is no sandbox.
func enterSmoke() {
	GinkgoHelper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		Skip("busybox is not installed")
	}
	before, err := os.Getwd()
	Expect(err).NotTo(HaveOccurred())
	dir := GinkgoT().TempDir()
	if err := sandbox.Check(dir); err != nil {
		Skip(err.Error())
	}
	Expect(os.Chdir(dir)).To(Succeed())
	DeferCleanup(os.Chdir, before)
	base, err := fixtures.BaseImage(busybox)
	Expect(err).NotTo(HaveOccurred())
	path, err := layout.Write("base", empty.Index)
	Expect(err).NotTo(HaveOccurred())
	Expect(path.AppendImage(base)).To(Succeed())
	Expect(fixtures.StandIn(dir)).To(Succeed())
	archive, err := fixtures.StandInLifecycle("creator")
	Expect(err).NotTo(HaveOccurred())
	put("lifecycle.tgz", string(archive))
	for _, ref := range []string{"acme/a@1", "acme/b@1"} {
		putRunnable("own/"+ref, ref, "own "+ref)
	}
	put("builder.toml", `
[[buildpacks]]
uri = "own/acme/a@1"
[[buildpacks]]
uri = "own/acme/b@1"
[[order]]
group = [{id = "acme/a"}, {id = "acme/b"}]
[build]
image = "oci:base"
[[run.images]]
image = "acme/run:1"
[lifecycle]
uri = "lifecycle.tgz"
`)
	Expect(create("oci:builder").code).To(BeZero())
	Expect(create("oci:empty", "--buildpackless").code).To(BeZero())
	put("app/smoke.toml", "")
}

// smokeOf runs "builder smoke", and returns its code, and what buildpacks printed.
func smokeOf(builder string, flags ...string) (result, []string) {
	GinkgoHelper()
	args := []string{"builder", "smoke", "oci:" + builder, "--app", "app", "--run-image", "oci:base", "--output", "json", "--no-cache", "--logs", "logs"}
	r := laminate(append(args, flags...)...)
	var report struct {
		Apps []struct{ Phases []struct{ Log string } }
	}
	if r.stdout == "" {
		return r, nil
	}
	Expect(json.Unmarshal([]byte(r.stdout), &report)).To(Succeed(), r.stdout)
	var said []string
	building := false
	for line := range strings.Lines(report.Apps[0].Phases[0].Log) {
		line = strings.TrimSpace(line)
		building = building && !strings.HasPrefix(line, "===>") || line == "===> BUILDING"
		if building && line != "===> BUILDING" {
			said = append(said, line)
		}
	}
	return r, said
}

// adding returns flags.
func adding(buildpacks ...string) (flags []string) {
	for _, b := range buildpacks {
		flags = append(flags, "--buildpack", b)
	}
	return flags
}

var _ = Describe("builder smoke --buildpack", Ordered, ContinueOnFailure, func() {
	BeforeAll(func() {
		enterSmoke()
		putRunnable("x", "acme/x@1", "added x")
		putRunnable("y", "acme/y@1", "added y")
		putRunnable("x2", "acme_x@2", "added x 2")
		putRunnable("a1", "acme/a@1", "added a 1")
		putRunnable("a2", "acme/a@2", "added a 2")
		putOrder("both", "acme/both@1", "acme/x@1", "acme/b@1")
		put("both/package.toml", "[buildpack]\nuri = \".\"\n[[dependencies]]\nuri = \"../x\"\n")
		putOrder("b-order", "acme/b@1", "acme/none@1")
		putOrder("deep", "acme/deep@1", "acme/both@1")
		put("deep.toml", "[buildpack]\nuri = \"deep\"\n[[dependencies]]\nuri = \"both\"\n[[dependencies]]\nuri = \"x\"\n[[dependencies]]\nuri = \"own/acme/b@1\"\n")
		put("x.toml", "[buildpack]\nuri = \"x\"\n")
		Expect(laminate("package", "x.cnb", "-c", "x.toml").code).To(BeZero())
		for dest, flatten := range map[string]string{"deep.cnb": "none", "oci:deep-flat": "all"} {
			Expect(laminate("package", dest, "-c", "deep.toml", "--flatten-layers="+flatten).code).To(BeZero())
		}
		Expect(exec.Command("tar", "-czf", "x.tgz", "-C", "x", ".").Run()).To(Succeed())
	})

	DescribeTable("refuses", func(builder string, buildpacks []string, message ...string) {
		r, _ := smokeOf(builder, adding(buildpacks...)...)
		Expect(r.code).To(Equal(1))
		Expect(r.stdout).To(BeEmpty())
		for _, m := range message {
			Expect(r.stderr).To(ContainSubstring(m))
		}
	},
		Entry("a missing directory", "builder", []string{"./none"}, `source "./none": none does not exist`),
		Entry("an id that the builder does not have", "builder", []string{"urn:cnb:builder:acme/aa"}, `unknown buildpack "acme/aa" of the builder oci:builder; did you mean acme/a@1`),
		Entry("a version that the builder does not have", "builder", []string{"acme/a@7"}, `unknown buildpack "acme/a@7" of the builder oci:builder; did you mean acme/a@1`),
		Entry("a list of buildpacks", "builder", []string{"acme/a,acme/b"}, "; repeat --buildpack for each of several buildpacks"),
		Entry("a misspelled from=builder", "builder", []string{"from=builders"}, "; did you mean from=builder?"),
		Entry("an empty id", "builder", []string{"urn:cnb:builder"}, "missing id of a buildpack of the builder; write from=builder for its order, or urn:cnb:builder:ID"),
		Entry("the Buildpack Registry", "builder", []string{"urn:cnb:registry:acme/x@1"}, "the Buildpack Registry is not supported"),
		Entry("an image that is not there", "builder", []string{"127.0.0.1:1/acme/a"}, "registry 127.0.0.1:1: connection refused", "; there is no such file or directory, and no such buildpack in the builder"),
		Entry("the builder's order twice", "builder", []string{"from=builder", "x", "from=builder"}, "duplicate from=builder; the builder's order can be at one place only"),
		Entry("the order of a builder without one", "empty", []string{"x", "from=builder"}, "from=builder: the builder oci:empty has no order; name the buildpacks"),
		Entry("a buildpack twice", "builder", []string{"x", "x.cnb"}, "duplicate buildpack acme/x: x and x.cnb; the lifecycle uses the first of a group only"),
		Entry("two versions of one", "builder", []string{"acme/a", "a2"}, "duplicate buildpack acme/a: acme/a and a2"),
		Entry("a composite whose child is missing", "empty", []string{"both"}, "both/buildpack.toml:9: missing buildpack acme/b@1; no source provides it; add it too, or list it in a package.toml beside the composite buildpack"),
		Entry("one that replaces the builder's own, and has a child that is missing", "builder", []string{"b-order"}, "b-order/buildpack.toml:6: missing buildpack acme/none@1; no source provides it"),
		Entry("several, all at once", "builder", []string{"acme/a@7", "./none"}, "2 problems", "unknown buildpack", "does not exist"),
	)

	It("shows no secret of a source", func() {
		server := httptest.NewServer(http.FileServer(http.Dir(".")))
		DeferCleanup(server.Close)
		url := strings.Replace(server.URL, "//", "//user:hush@", 1) + "/x.tgz?token=hush"
		r, _ := smokeOf("builder", adding(url, "x")...)
		Expect(r.stderr).To(ContainSubstring("duplicate buildpack acme/x: http://"))
		Expect(r.stderr).NotTo(ContainSubstring("hush"))
		r, said := smokeOf("empty", adding(url)...)
		Expect(said).To(Equal([]string{"added x"}), r.stderr)
		Expect(r.stdout + r.stderr).NotTo(ContainSubstring("hush"))
	})

	It("refuses an extension, which is no buildpack", func() {
		put("ext/extension.toml", "api = \"0.10\"\n[extension]\nid = \"acme/e\"\nversion = \"7\"\n")
		put("ext/bin/detect", "#!/bin/sh\n")
		r, _ := smokeOf("builder", "-b", "ext")
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(Equal("laminate: ext: missing buildpack.toml: this is an image extension, not a buildpack\n"))
	})

	It("refuses a builder and an app image", func() {
		r, _ := smokeOf("builder", "-b", "oci:builder")
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(ContainSubstring("oci:builder: "))
	})

	It("refuses what the lifecycle does not support", func() {
		put("old/buildpack.toml", "api = \"0.2\"\n[buildpack]\nid = \"acme/old\"\nversion = \"1\"\n[[stacks]]\nid = \"*\"\n")
		put("old/bin/detect", "#!/bin/sh\n")
		put("old/bin/build", "#!/bin/sh\n")
		r, _ := smokeOf("builder", "-b", "old")
		Expect(r.stderr).To(ContainSubstring("old/buildpack.toml:1: buildpack acme/old@1 has Buildpack API 0.2, which lifecycle 0.21.0 does not support"))
	})

	It("refuses two contents of one buildpack, and two buildpacks of one directory", func() {
		putRunnable("x-other", "acme/x@1", "other x")
		putOrder("with-other", "acme/with-other@1", "acme/x@1")
		put("with-other/package.toml", "[buildpack]\nuri = \".\"\n[[dependencies]]\nuri = \"../x-other\"\n")
		r, _ := smokeOf("builder", adding("x", "with-other")...)
		Expect(r.stderr).To(ContainSubstring("conflicting contents of buildpack acme/x@1 in x and in ../x-other; change the version of one\n"))
		putRunnable("under", "acme_a@1", "under")
		r, _ = smokeOf("builder", "-b", "under")
		Expect(r.stderr).To(ContainSubstring("buildpacks acme_a@1 (under) and acme/a@1 of the builder share the directory /cnb/buildpacks/acme_a/1"))
	})

	DescribeTable("builds with", func(builder string, buildpacks []string, said ...string) {
		r, have := smokeOf(builder, adding(buildpacks...)...)
		Expect(r.code).To(BeZero(), r.stdout+r.stderr)
		Expect(have).To(Equal(said))
	},
		Entry("the builder's order, without the flag", "builder", nil, "own acme/a@1", "own acme/b@1"),
		Entry("a directory", "empty", []string{"x"}, "added x"),
		Entry("an archive", "empty", []string{"x.tgz"}, "added x"),
		Entry("a buildpackage in a file", "empty", []string{"x.cnb"}, "added x"),
		Entry("only what is named", "builder", []string{"x"}, "added x"),
		Entry("several, in their order", "builder", []string{"x", "acme/b", "acme/a@1"}, "added x", "own acme/b@1", "own acme/a@1"),
		Entry("the other spellings", "builder", []string{"urn:cnb:builder:acme/b@1", "from=builder:acme/a"}, "own acme/b@1", "own acme/a@1"),
		Entry("one before the builder's order", "builder", []string{"x", "from=builder"}, "added x", "own acme/a@1", "own acme/b@1"),
		Entry("one behind it", "builder", []string{"from=builder", "x"}, "own acme/a@1", "own acme/b@1", "added x"),
		Entry("one that replaces the builder's own", "builder", []string{"a1", "acme/b"}, "added a 1", "own acme/b@1"),
		Entry("one that replaces the builder's own in its order", "builder", []string{"a1", "from=builder"}, "added a 1", "own acme/b@1"),
		Entry("another version, which is first in the group", "builder", []string{"a2", "from=builder"}, "added a 2", "own acme/b@1"),
		Entry("another version, which is not", "builder", []string{"from=builder", "a2"}, "own acme/a@1", "own acme/b@1"),
		Entry("a composite, whose children are in its package.toml and in the builder", "builder", []string{"both"}, "added x", "own acme/b@1"),
		Entry("a buildpackage of composites", "empty", []string{"deep.cnb"}, "added x", "own acme/b@1"),
		Entry("one with all in one layer", "empty", []string{"oci:deep-flat"}, "added x", "own acme/b@1"),
		Entry("two whose directories have one parent, and one between them", "empty", []string{"x", "y", "x2"}, "added x", "added y", "added x 2"),
		Entry("a composite before the builder's order", "builder", []string{"deep.cnb", "from=builder"}, "added x", "own acme/b@1", "own acme/a@1"),
	)

	It("takes a local path for a path, even if it is an id of the builder", func() {
		putRunnable("acme/b", "acme/y@1", "local y")
		DeferCleanup(os.RemoveAll, "acme")
		_, have := smokeOf("builder", "-b", "acme/b")
		Expect(have).To(Equal([]string{"local y"}))
	})

	It("makes the image that a builder makes which has the buildpacks", func() {
		toml, err := os.ReadFile("builder.toml")
		Expect(err).NotTo(HaveOccurred())
		with := strings.Replace(string(toml), "[[order]]", "[[buildpacks]]\nuri = \"x\"\n[[order]]", 1)
		put("builder.toml", strings.Replace(with, `{id = "acme/a"}`, `{id = "acme/x"}, {id = "acme/a"}`, 1))
		Expect(create("oci:with").code).To(BeZero())
		put("builder.toml", string(toml))
		for out, r := range map[string][]string{"one": {"with"}, "two": {"builder", "-b", "x", "-b", "from=builder"}} {
			got, _ := smokeOf(r[0], append(r[1:], "--output-layout", out)...)
			Expect(got.code).To(BeZero(), got.stderr)
		}
		one, err := os.ReadFile("one/index.json")
		Expect(err).NotTo(HaveOccurred())
		Expect(os.ReadFile("two/index.json")).To(MatchJSON(one))
	})

	It("names added buildpacks that write into the layers of others", func() {
		putRunnable("layered", "acme/layered@1", "")
		put("layered/bin/build", "#!/bin/sh\nmkdir \"$CNB_LAYERS_DIR/data\"\necho '[types]\nlaunch = true' >\"$CNB_LAYERS_DIR/data.toml\"\n")
		putRunnable("intruder", "acme/intruder@1", "")
		put("intruder/bin/build", "#!/bin/sh\necho >/layers/acme_layered/data/planted\n")
		r := laminate("builder", "smoke", "oci:empty", "--app", "app", "--run-image", "oci:base", "--no-cache", "-b", "layered", "-b", "intruder")
		Expect(r.stdout).To(ContainSubstring(`warning: acme/intruder added /layers/acme_layered/data/planted, in layer "data" of acme/layered`))
	})

	It("are in the report", func() {
		r, _ := smokeOf("builder", adding("x", "from=builder")...)
		Expect(r.stdout).To(ContainSubstring("\"buildpacks\": [\n    \"x\",\n    \"from=builder\"\n  ],"))
		workbench.ExpectValid("smoke.schema.json", []byte(r.stdout))
		r, _ = smokeOf("builder")
		Expect(r.stdout).NotTo(ContainSubstring(`"buildpacks"`))
	})

	It("cannot be written to", func() {
		putRunnable("selfish", "acme/selfish@1", "")
		put("selfish/bin/build", "#!/bin/sh\necho >\"$CNB_BUILDPACK_DIR/new\" || echo 'not written'\n")
		_, have := smokeOf("empty", "-b", "selfish")
		Expect(have).To(ContainElement("not written"))
		Expect("selfish/new").NotTo(BeAnExistingFile())
	})

	It("says before the build that the builder's extensions cannot extend, and keeps them in the order", func() {
		put("extends/extension.toml", "api = \"0.10\"\n[extension]\nid = \"acme/e\"\nversion = \"7\"\n")
		put("extends/bin/detect", "#!/bin/sh\nexit 100\n")
		put("extends/bin/generate", "#!/bin/sh\n")
		putRunnable("orders", "acme/orders@1", "")
		put("orders/bin/build", "#!/bin/sh\ncat /cnb/order.toml\n")
		toml, err := os.ReadFile("builder.toml")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(os.WriteFile, "builder.toml", toml, os.FileMode(0o644))
		put("builder.toml", string(toml)+"[[extensions]]\nuri = \"extends\"\n[[order-extensions]]\ngroup = [{id = \"acme/e\"}]\n")
		Expect(create("oci:extended").code).To(BeZero())
		for _, flags := range [][]string{nil, {"-b", "orders"}} {
			r, said := smokeOf("extended", flags...)
			Expect(r.code).To(BeZero(), r.stderr)
			Expect(r.stderr).To(ContainSubstring("warning: oci:extended has image extensions (acme/e), which cannot extend images in the sandbox; a build that one of them wants to take part in fails\n"))
			if flags != nil {
				Expect(said).To(ContainElements("[[order-extensions]]", "version = '7'"))
			}
		}
		r, _ := smokeOf("builder")
		Expect(r.stderr).NotTo(ContainSubstring("extension"))
	})

	It("says that a builder without an order needs them", func(ctx context.Context) {
		r, _ := smokeOf("empty")
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(ContainSubstring("oci:empty: its labels have no order of buildpacks; name the buildpacks for the build with --buildpack"))
	})
})
