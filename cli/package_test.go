package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/cli"
	"laminate/fixtures"
)

// result is the result of a run of the program.
type result struct {
	code           int
	stdout, stderr string
}

// laminate runs the program in process, with an environment of its own.
func laminate(args ...string) result {
	GinkgoHelper()
	return laminateWith(nil, args...)
}

// laminateWith runs it with more in its environment.
func laminateWith(more map[string]string, args ...string) result {
	GinkgoHelper()
	var stdout, stderr bytes.Buffer
	tmp := GinkgoT().TempDir()
	env := func(name string) string {
		if name == "TMPDIR" {
			return tmp
		}
		return more[name]
	}
	code := cli.Run(context.Background(), append([]string{"laminate"}, args...), &stdout, &stderr, env)
	left, err := os.ReadDir(tmp)
	Expect(err).NotTo(HaveOccurred())
	Expect(left).To(BeEmpty(), "something is left in TMPDIR")
	return result{code, stdout.String(), stderr.String()}
}

func digest(r result) string {
	GinkgoHelper()
	Expect(r.code).To(BeZero(), r.stderr)
	d, _, ok := strings.Cut(r.stdout, "\t")
	Expect(ok).To(BeTrue(), r.stdout)
	return d
}

var _ = Describe("package", func() {
	It("takes flags before and after DEST, as the discussion that asked for it wrote them", func() {
		enterPackages("offline")
		want := digest(laminate("package", "--config", "./package.toml", "--format", "file", "--flatten-layers", "my-hello-universe-flatten.cnb"))
		for _, args := range [][]string{
			{"package", "my-hello-universe-flatten.cnb", "--config", "./package.toml", "--format", "file", "--flatten-layers"},
			{"buildpack", "package", "--flatten-layers", "my-hello-universe-flatten", "-f=file", "-c=package.toml"},
			{"-q", "package", "--flatten-layers=composites", "--", "my-hello-universe-flatten.cnb"},
			{"package", "a.cnb", "-q", "--flatten-layers", "-c", "package.toml", "--no-color"},
		} {
			Expect(digest(laminate(args...))).To(Equal(want), "%v", args)
		}
	})

	It("does not package what it writes", func() {
		dir := GinkgoT().TempDir()
		Expect(fixtures.CopyDir(dir, "buildpacks/hello-moon")).To(Succeed())
		for _, dest := range []string{"out.cnb", "oci:layout", "oci-archive:out.tar"} {
			form, file, named := strings.Cut(dest, ":")
			if named {
				file = form + ":" + filepath.Join(dir, file)
			} else {
				file = filepath.Join(dir, dest)
			}
			first := digest(laminate("package", file, "--path", dir))
			Expect(digest(laminate("package", file, "--path", dir))).To(Equal(first), dest)
			Expect(os.RemoveAll(strings.TrimPrefix(file, form+":"))).To(Succeed())
		}
		for range 2 {
			r := laminate("package", filepath.Join(dir, "out.cnb"), "--path", dir, "-t", "linux/amd64", "--target", "linux/arm64")
			Expect(r.code).To(BeZero(), r.stderr)
			Expect(r.stdout).To(ContainSubstring("out-linux-arm64.cnb"))
		}
	})

	It("gives labels between commas as pack does, and those with commas in their values", func() {
		enterPackages("offline")
		one := digest(laminate("package", "x.cnb", "-l", "a=b,c=d", "--label", "e=1,2"))
		Expect(digest(laminate("package", "x.cnb", "-l", "e=1,2", "-l", "c=d", "-l", "a=b"))).To(Equal(one))
	})

	It("takes the time of the images from SOURCE_DATE_EPOCH", func() {
		enterPackages("offline")
		at := func(epoch string) string {
			var stdout, stderr bytes.Buffer
			env := func(name string) string {
				return map[string]string{"SOURCE_DATE_EPOCH": epoch, "TMPDIR": os.TempDir()}[name]
			}
			code := cli.Run(context.Background(), []string{"laminate", "package", "x.cnb"}, &stdout, &stderr, env)
			return digest(result{code, stdout.String(), stderr.String()})
		}
		Expect(at("315532801")).To(Equal(at("")))
		Expect(at("0")).NotTo(Equal(at("")))
	})

	It("prints the version everywhere", func() {
		for _, args := range [][]string{{"--version"}, {"package", "--version"}, {"builder", "create", "x", "--version"}} {
			Expect(laminate(args...)).To(Equal(result{stdout: fmt.Sprintf("laminate (devel) (%s, %s/%s)\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)}))
		}
	})

	It("prints nothing of a source that a terminal would obey, nor lines of its making", func() {
		dir := GinkgoT().TempDir()
		Expect(fixtures.CopyDir(dir, "buildpacks/hello-moon")).To(Succeed())
		Expect(syscall.Mkfifo(filepath.Join(dir, "a\x1b[2J\nlaminate: all is well"), 0o600)).To(Succeed())
		r := laminate("package", filepath.Join(GinkgoT().TempDir(), "x.cnb"), "--path", dir)
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(HaveSuffix("\n"))
		Expect(strings.TrimSuffix(r.stderr, "\n")).NotTo(Or(ContainSubstring("\x1b"), ContainSubstring("\n")))
	})

	It("looks at DEST in a dry run too", func() {
		enterPackages("offline")
		Expect(laminate("package", "nope/x.cnb", "--dry-run").stderr).To(ContainSubstring("missing directory nope"))
	})

	DescribeTable("calls it wrong use, tries nothing, and says what it takes",
		func(want string, args ...string) {
			enterPackages("offline")
			r := laminate(append([]string{"package"}, args...)...)
			Expect(r.code).To(Equal(2), r.stderr)
			Expect(r.stdout).To(BeEmpty())
			Expect(r.stderr).To(ContainSubstring(want))
			Expect(r.stderr).To(ContainSubstring("See: laminate package --help"))
			Expect("x.cnb").NotTo(BeAnExistingFile())
		},
		Entry(nil, "DEST is missing"),
		Entry(nil, "2 arguments (x.cnb, y.cnb); write one DEST, and --tag for further names of the image", "x.cnb", "y.cnb"),
		Entry(nil, `misplaced value "all"; write it behind an equals sign: --flatten-layers=all`, "x.cnb", "--flatten-layers", "all"),
		Entry(nil, `invalid value "some" for --flatten-layers; it takes composites, all, auto, as-packaged or none`, "x.cnb", "--flatten-layers=some"),
		Entry(nil, `invalid value "" for --flatten-layers; it takes composites`, "x.cnb", "--flatten-layers="),
		Entry(nil, "--flatten means --flatten-layers=all", "x.cnb", "--flatten", "--flatten-layers=none"),
		Entry(nil, "unknown flag --pth; did you mean --path?", "x.cnb", "--pth", "."),
		Entry(nil, "--path needs a value", "x.cnb", "--path"),
		Entry(nil, "--path has an empty value", "x.cnb", "--path", ""),
		Entry(nil, "--target has an empty value", "x.cnb", "-t", ""),
		Entry(nil, "--config and --path cannot both be given", "x.cnb", "-c", "package.toml", "-p", "."),
		Entry(nil, "images call that architecture amd64", "x.cnb", "-t", "linux/x86_64"),
		Entry(nil, `unknown architecture "amd65"; write one of 386, amd64`, "x.cnb", "-t", "linux/amd65"),
		Entry(nil, "--target windows/amd64: laminate makes images for linux only", "x.cnb", "-t", "windows/amd64"),
		Entry(nil, "--target darwin/arm64: laminate makes images for linux only", "x.cnb", "-t", "windows/amd64,darwin/arm64"),
		Entry(nil, "--target linus/amd64: laminate makes images for linux only", "x.cnb", "-t", "linus/amd64", "-t", "linux/amd64"),
		Entry(nil, "--target linux/amd64: duplicate target", "x.cnb", "-t", "linux/amd64", "-t", "linux/amd64"),
		Entry(nil, `invalid --label "a"; write KEY=VALUE`, "x.cnb", "-l", "a"),
		Entry(nil, `invalid --tag "/x/y.cnb"; write an image reference`, "x", "--tag", "/x/y.cnb"),
		Entry(nil, `--tag "localhost:5000/x": invalid reference`, "x", "--tag", "ann:secret@localhost:5000/x"),
		Entry(nil, "use gzip or zstd", "x.cnb", "--compression", "xz"),
		Entry(nil, `--on-conflict: invalid choice "newest"; use first or last`, "x.cnb", "--on-conflict", "newest"),
		Entry(nil, `invalid media types "OCI"; use docker or oci`, "x.cnb", "--media-types", "OCI"),
		Entry(nil, "images in the Docker daemon and in a docker-archive have no manifest", "x", "--media-types", "oci"),
		Entry(nil, "images in the Docker daemon and in a docker-archive have no manifest", "docker-archive:x.cnb", "--media-types", "docker"),
		Entry(nil, "--media-types docker is unsupported for oci:x.cnb", "oci:x.cnb", "--media-types", "docker"),
		Entry(nil, "--media-types docker is unsupported for oci-archive:x.cnb", "oci-archive:x.cnb", "--media-types", "docker"),
		Entry(nil, "--media-types docker is unsupported with --compression zstd", "x.cnb", "--media-types", "docker", "--compression", "zstd"),
		Entry(nil, "use always, if-not-present or never", "x.cnb", "--pull-policy", "sometimes"),
		Entry(nil, "--publish and --pull-policy never contradict each other", "x/y", "--publish", "--pull-policy", "never"),
		Entry(nil, "invalid --max-layers 0; write a number from 1 to 125", "x.cnb", "--max-layers", "0"),
		Entry(nil, "--insecure-registry", "x.cnb", "--insecure-registry", "http://localhost:5000"),
	)

	DescribeTable("refuses an existing file that is no image as DEST, with the form to write",
		func(want string, args ...string) {
			enterPackages("offline")
			before, err := os.ReadFile("package.toml")
			Expect(err).NotTo(HaveOccurred())
			r := laminate(append([]string{"package"}, args...)...)
			Expect(r.code).To(Equal(2), r.stderr)
			Expect(r.stderr).To(HavePrefix("laminate: " + want + "\n"))
			Expect(os.ReadFile("package.toml")).To(Equal(before))
		},
		Entry("taken for an image in the Docker daemon", `destination "package.toml" is an existing file; write FILE.cnb, oci:DIR or docker://REF, or docker-daemon:package.toml for an image of that name`, "package.toml"),
		Entry("taken for one in a registry", `destination "package.toml" is an existing file; write FILE.cnb, oci:DIR or docker://REF, or docker-daemon:package.toml for an image of that name`, "package.toml", "--publish"),
		Entry("for a directory", `destination "oci:package.toml" is an existing file, not a directory; write oci:DIR with a new directory or an OCI layout, or oci-archive:FILE`, "oci:package.toml"),
		Entry("to be replaced", `destination "package.toml" is an existing file and not an image; write FILE.cnb, oci:DIR, docker://REF or docker-daemon:REF, or remove the file first`, "package.toml", "--format", "file"),
		Entry("to be replaced, with a scheme", `destination "oci-archive:package.toml" is an existing file and not an image; write FILE.cnb, oci:DIR, docker://REF or docker-daemon:REF, or remove the file first`, "oci-archive:package.toml"),
	)

	It("replaces an earlier image, an archive by its name, and an empty file", func() {
		enterPackages("offline")
		want := digest(laminate("package", "x.cnb"))
		Expect(os.Rename("x.cnb", "image.v1")).To(Succeed())
		Expect(os.WriteFile("x.cnb", []byte("not an image"), 0o644)).To(Succeed())
		Expect(os.WriteFile("empty.v1", nil, 0o644)).To(Succeed())
		for _, file := range []string{"image.v1", "x.cnb", "empty.v1"} {
			Expect(digest(laminate("package", "--format", "file", file))).To(Equal(want), file)
		}
	})

	DescribeTable("fails, leaves what was there, and says why",
		func(want string, args ...string) {
			enterPackages("offline")
			Expect(os.WriteFile("x.cnb", []byte("before"), 0o644)).To(Succeed())
			r := laminate(append([]string{"package"}, args...)...)
			Expect(r.code).To(Equal(1), r.stderr)
			Expect(r.stdout).To(BeEmpty())
			Expect(r.stderr).To(ContainSubstring(want))
			Expect(os.ReadFile("x.cnb")).To(Equal([]byte("before")))
		},
		Entry(nil, "--config nope.toml: no such file; name the package.toml to read", "x.cnb", "-c", "nope.toml"),
		Entry(nil, "write docker://nope for an image", "x.cnb", "-p", "nope"),
		Entry(nil, "name its directory: --path ../../buildpacks/hello-moon", "x.cnb", "-p", "../../buildpacks/hello-moon/buildpack.toml"),
		Entry(nil, "missing directory nope", "nope/x.cnb"),
		Entry(nil, "more than one tag requires a registry", "x.cnb", "--tag", "a/b"),
		Entry(nil, "did you mean samples/hello-moon@0.0.1", "x.cnb", "--flatten-group", "samples/hello-mon"),
		Entry(nil, "The plan:\n   1  samples/hello-world@0.0.1", "x.cnb", "--max-layers", "6"),
		Entry(nil, "is reserved", "x.cnb", "-l", "laminate.layers=x"),
	)
})
