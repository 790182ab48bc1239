package cli_test

import (
	"io"
	"log"
	"net/http/httptest"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/registry"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("what scripts for pack say", func() {
	BeforeEach(func() { enterPackages("offline") })

	DescribeTable("is accepted, has no effect, and says so with -v", func(want string, args ...string) {
		r := laminate(args...)
		Expect(r.code).To(BeZero(), r.stderr)
		Expect(r.stderr).NotTo(ContainSubstring("no effect"))
		Expect(laminate(append(args, "-v")...).stderr).To(ContainSubstring(want + "\n"))
	},
		Entry(nil, "config experimental has no effect: laminate has no settings, and every feature is enabled", "config", "experimental", "true"),
		Entry(nil, "config experimental has no effect: laminate has no settings, and every feature is enabled", "config", "experimental"),
		Entry(nil, "--timestamps has no effect: laminate prints no times", "--timestamps", "package", "a.cnb"),
		Entry(nil, "--timestamps has no effect: laminate prints no times", "buildpack", "package", "a.cnb", "--timestamps"),
		Entry(nil, "--buildpack-registry has no effect: laminate looks nothing up in a buildpack registry", "buildpack", "package", "a.cnb", "-r", "mine"),
	)

	It("works under the old and the plural names of the commands", func() {
		want := digest(laminate("package", "a.cnb"))
		Expect(digest(laminate("package-buildpack", "a.cnb", "--config", "package.toml"))).To(Equal(want))
		Expect(digest(laminate("buildpacks", "package", "a", "--format", "file"))).To(Equal(want))
		enterBuilder()
		builder := digest(create("oci:out"))
		for _, name := range [][]string{{"create-builder"}, {"builders", "create"}} {
			Expect(digest(laminate(append(name, "oci:out", "-c", "builder.toml", "-t", "linux/amd64", "--skip-run-image-check")...))).To(Equal(builder))
		}
	})

	It("prints versions and help", func() {
		Expect(laminate("version")).To(Equal(laminate("--version")))
		for _, command := range [][]string{nil, {"package"}, {"builder"}, {"builder", "create"}, {"create-builder"}} {
			r := laminate(append([]string{"help"}, command...)...)
			Expect(r).To(Equal(laminate(append(command, "--help")...)))
			Expect(r.stdout).To(ContainSubstring("Usage:"))
		}
		Expect(laminate("help", "build")).To(Equal(laminate("build")))
	})

	DescribeTable("is answered where laminate does not have the command", func(want string, args ...string) {
		r := laminate(args...)
		Expect(r.code).To(Equal(2))
		Expect(r.stdout).To(BeEmpty())
		message, _, _ := strings.Cut(r.stderr, "\nSee: ")
		Expect(message).To(Equal("laminate: " + want))
	},
		Entry(nil, `unknown command "build"; pack does that`, "build", "app", "--builder", "x"),
		Entry(nil, `unknown command "rebase"; pack does that`, "rebase", "app"),
		Entry(nil, `unknown command "inspect-image"; use laminate inspect REF`, "inspect-image", "app"),
		Entry(nil, `unknown command "sbom"; pack does that`, "sbom", "download", "app"),
		Entry(nil, `unknown command "manifest"; pack does that`, "manifest", "create"),
		Entry(nil, `unknown command "smoke"; use laminate builder smoke REF --app DIR`, "smoke", "oci:b", "--app", "app"),
		Entry(nil, `unknown command "builder inspect"; use laminate inspect REF`, "builder", "inspect", "x"),
		Entry(nil, `unknown command "builder suggest"; pack does that`, "builders", "suggest"),
		Entry(nil, `unknown command "buildpack new"; pack does that`, "buildpack", "new", "acme/x", "--api", "0.10"),
		Entry(nil, `unknown command "extension pull"; pack does that`, "extension", "pull", "x"),
		Entry(nil, `unknown command "config trusted-builders"; pack does that`, "config", "trusted-builders", "add", "x"),
		Entry(nil, `unknown command "config pull-policy"; laminate has no settings: pass --pull-policy to each command`, "config", "pull-policy", "never"),
		Entry(nil, `unknown flag --shell`, "completion", "--shell", "zsh"),
		Entry(nil, `invalid shell "tcsh"; write bash, zsh or fish`, "completion", "tcsh"),
		Entry(nil, `unknown command "pakage"; did you mean package?`, "pakage", "a.cnb"),
		Entry(nil, `unknown command "builder creat"; did you mean create?`, "builder", "creat", "x"),
		Entry(nil, `unknown command "xyz"`, "xyz"),
		Entry(nil, `invalid value "maybe"; write true or false`, "config", "experimental", "maybe"),
	)

	It("tags the images of an index as pack's --append-image-name-suffix does", func() {
		server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
		defer server.Close()
		host := strings.TrimPrefix(server.URL, "http://")
		places := func(args ...string) string {
			GinkgoHelper()
			r := laminate(append([]string{"package", "-q", "--append-image-name-suffix", "--publish"}, args...)...)
			Expect(r.code).To(BeZero(), r.stderr)
			return strings.ReplaceAll(regexp.MustCompile(`(?m)^sha256:[0-9a-f]{64}\t`).ReplaceAllString(r.stdout, ""), host, "HOST")
		}
		Expect(places(host+"/a:1.0", "-t", "linux/amd64", "-t", "linux/arm/v7")).To(Equal("docker://HOST/a:1.0\ndocker://HOST/a:1.0-linux-amd64\ndocker://HOST/a:1.0-linux-arm-v7\n"))
		Expect(places(host+"/b", "-t", "linux/amd64", "-t", "linux/arm64", "--tag", host+"/b:x")).To(Equal("docker://HOST/b:latest\ndocker://HOST/b:x\ndocker://HOST/b:linux-amd64\ndocker://HOST/b:linux-arm64\n"))
		Expect(places(host+"/c", "-t", "linux/amd64")).To(Equal("docker://HOST/c:latest\n"))
		By("each naming the image of its platform")
		r := laminate("package", "x.cnb", "--path", "docker://"+host+"/a:1.0-linux-amd64", "--dry-run")
		Expect(r.stdout).To(ContainSubstring("7 buildpacks in 7 layers"), r.stderr)
		By("warning where it has no effect")
		Expect(laminate("package", "oci:x", "--append-image-name-suffix").stderr).To(HavePrefix("warning: --append-image-name-suffix has no effect: DEST is not in a registry\n"))
	})

	It("gives --target for systems that laminate has no images for beside linux", func() {
		r := laminate("package", "x.cnb", "-t", "windows/amd64", "-t", "linux/amd64", "-t", "darwin/arm64", "--dry-run")
		Expect(r.code).To(BeZero(), r.stderr)
		Expect(r.stderr).To(Equal("warning: --target windows/amd64, darwin/arm64 skipped; laminate makes images for linux only\n"))
		Expect(strings.Count(r.stdout, " for linux/amd64: ")).To(Equal(1), r.stdout)
		Expect(r.stdout).NotTo(ContainSubstring("windows"))
	})
})
