package location_test

import (
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/location"
)

// base makes a directory that has a buildpack, an archive, and a directory
// that is called as an image may be.
func base() string {
	dir := GinkgoT().TempDir()
	for _, d := range []string{"hello-moon", "samples/hello-world", "with space"} {
		Expect(os.MkdirAll(filepath.Join(dir, d), 0o755)).To(Succeed())
	}
	for _, f := range []string{"moon.tgz", "package.cnb", "odd:name"} {
		Expect(os.WriteFile(filepath.Join(dir, f), nil, 0o644)).To(Succeed())
	}
	return dir
}

var _ = DescribeTable("ParseSource reads the whole grammar",
	func(s string, want location.Location) {
		dir := base()
		if want.Path != "" && !filepath.IsAbs(want.Path) {
			want.Path = filepath.Join(dir, want.Path)
		}
		want.Written = s
		Expect(location.ParseSource(s, dir)).To(Equal(want))
	},
	Entry("a directory", "hello-moon", location.Location{Kind: location.Path, Path: "hello-moon"}),
	Entry("a directory, with ./", "./hello-moon/", location.Location{Kind: location.Path, Path: "hello-moon"}),
	Entry("a local path wins over a reference", "samples/hello-world", location.Location{Kind: location.Path, Path: "samples/hello-world"}),
	Entry("an archive", "moon.tgz", location.Location{Kind: location.Path, Path: "moon.tgz"}),
	Entry("a .cnb file", "./package.cnb", location.Location{Kind: location.Path, Path: "package.cnb"}),
	Entry("a file with a colon", "odd:name", location.Location{Kind: location.Path, Path: "odd:name"}),
	Entry("a layout", "oci:dir", location.Location{Kind: location.OCILayout, Path: "dir"}),
	Entry("a layout with a tag", "oci:some/dir:v1.2", location.Location{Kind: location.OCILayout, Path: "some/dir", Ref: "v1.2"}),
	Entry("a layout with a whole reference for a tag", "oci:/d:example.com/a/b:v1", location.Location{Kind: location.OCILayout, Path: "/d", Ref: "example.com/a/b:v1"}),
	Entry("an OCI archive", "oci-archive:x.tar", location.Location{Kind: location.OCIArchive, Path: "x.tar"}),
	Entry("an OCI archive with a tag", "oci-archive:x.tar:latest", location.Location{Kind: location.OCIArchive, Path: "x.tar", Ref: "latest"}),
	Entry("a Docker archive", "docker-archive:../x.tar", location.Location{Kind: location.DockerArchive, Path: "../x.tar"}),
	Entry("a Docker archive with a reference", "docker-archive:/x.tar:acme/x:1", location.Location{Kind: location.DockerArchive, Path: "/x.tar", Ref: "acme/x:1"}),
	Entry("a registry", "docker://example.com/a/b:1", location.Location{Kind: location.Registry, Ref: "example.com/a/b:1"}),
	Entry("a registry with a port", "docker://localhost:5000/x", location.Location{Kind: location.Registry, Ref: "localhost:5000/x"}),
	Entry("a registry, one slash", "docker:/cnbs/sample-package:hello", location.Location{Kind: location.Registry, Ref: "cnbs/sample-package:hello"}),
	Entry("a registry, three slashes", "docker:///cnbs/sample-package", location.Location{Kind: location.Registry, Ref: "cnbs/sample-package"}),
	Entry("a registry, by digest", "docker://a/b@sha256:"+strings.Repeat("0", 64), location.Location{Kind: location.Registry, Ref: "a/b@sha256:" + strings.Repeat("0", 64)}),
	Entry("the daemon", "docker-daemon:acme/x:1", location.Location{Kind: location.Daemon, Ref: "acme/x:1"}),
	Entry("a plain reference", "acme/x:1", location.Location{Kind: location.Name, Ref: "acme/x:1"}),
	Entry("a plain reference that is called as a scheme", "docker:dind", location.Location{Kind: location.Name, Ref: "docker:dind"}),
	Entry("a plain reference with a port", "localhost:5000/x", location.Location{Kind: location.Name, Ref: "localhost:5000/x"}),
	Entry("a web server", "https://example.com/a/b.tgz", location.Location{Kind: location.HTTP, URL: "https://example.com/a/b.tgz"}),
)

var _ = Describe("ParseSource", func() {
	It("decodes file:// paths, absolute, on localhost, and relative", func() {
		dir := base()
		for _, s := range []string{"file://" + dir + "/with%20space", "file://localhost" + dir + "/with%20space", "file:" + dir + "/with%20space", "file://with%20space"} {
			l, err := location.ParseSource(s, dir)
			Expect(err).NotTo(HaveOccurred())
			Expect(l).To(Equal(location.Location{Kind: location.Path, Path: dir + "/with space", Written: s}))
		}
	})

	It("takes relative paths as they are where there is no base", func() {
		Expect(location.ParseSource("parse.go", "")).To(Equal(location.Location{Kind: location.Path, Path: "parse.go", Written: "parse.go"}))
	})

	It("never writes credentials of a URL into messages", func() {
		s := "https://ann:secret@example.com/x.tgz?token=secret"
		l, err := location.ParseSource(s, "")
		Expect(err).NotTo(HaveOccurred())
		Expect(l.URL).To(Equal(s))
		Expect(l.String()).To(Equal("https://example.com/x.tgz?…"))
		_, err = location.ParseSource("ftp://ann:secret@example.com/x.tgz?token=secret", "")
		Expect(err).To(MatchError(And(ContainSubstring("ftp://example.com/x.tgz"), Not(ContainSubstring("secret")))))
		_, err = location.ParseSource("https://ann:secret@exa mple.com/", "")
		Expect(err).To(MatchError(Not(ContainSubstring("secret"))))
	})
})

var _ = DescribeTable("ParseSource refuses, and says what to use instead",
	func(s, why string) {
		_, err := location.ParseSource(s, base())
		Expect(err).To(MatchError(And(HavePrefix("source "), ContainSubstring(why))))
	},
	Entry("nothing", "", "empty"),
	Entry("the Buildpack Registry", "urn:cnb:registry:acme/x@1.0.0", "docker://REF"),
	Entry("the Buildpack Registry, as a plain id", "acme/x@1.0.0", "Buildpack Registry"),
	Entry("the builder", "from=builder", "docker://REF"),
	Entry("a buildpack of the builder", "from=builder:acme/x@1", "docker://REF"),
	Entry("a URN of the builder", "urn:cnb:builder:acme/x@1", "docker://REF"),
	Entry("another URN", "urn:isbn:1", "URNs"),
	Entry("a drive of Windows", `C:\buildpacks\x`, "Windows"),
	Entry("a drive of Windows, slashes", `c:/buildpacks/x`, "Windows"),
	Entry("a share of Windows", `\\server\share`, "Windows"),
	Entry("a relative path of Windows", `.\x`, "Windows"),
	Entry("a scheme that is unknown", "s3://bucket/x.tgz", "oci-archive:FILE"),
	Entry("a transport of others", "containers-storage:x", "docker-daemon:REF"),
	Entry("a directory transport", "dir:/x", "oci:DIR"),
	Entry("a missing archive is no reference", "missing.tgz", "missing.tgz does not exist"),
	Entry("a missing .cnb is no reference", "x/missing.CNB", "x/missing.CNB does not exist"),
	Entry("a missing path", "./missing", "missing does not exist"),
	Entry("a missing absolute path", "/missing/x", "/missing/x"),
	Entry("a missing file://", "file:///missing/x", "/missing/x"),
	Entry("an empty file://", "file://", "missing file or directory"),
	Entry("a file:// with a bad escape", "file:///x%zz", "invalid URL escape"),
	Entry("a file:// with a hidden newline", "file:///x%0a", "control characters"),
	Entry("no reference", "Not A Ref", "neither an existing file or directory nor an image reference"),
	Entry("a registry without a reference", "docker://", "docker://"),
	Entry("a registry with a bad reference", "docker://localhost:5000/UPPER", "can only contain"),
	Entry("a daemon with a bad reference", "docker-daemon:UPPER", "can only contain"),
	Entry("a layout without a directory", "oci:", "missing file or directory"),
	Entry("a layout with a bad tag", "oci:x:", `invalid tag ""`),
	Entry("an archive with a bad tag", "oci-archive:x:../y", `invalid tag "../y"`),
	Entry("a Docker archive with a bad reference", "docker-archive:x:UPPER", "can only contain"),
	Entry("a URL without a host", "https:///x.tgz", "invalid URL"),
	Entry("control characters", "x\x1b[31m", "control characters"),
)

var _ = DescribeTable("ParseDest reads the whole grammar",
	func(s string, o location.DestOptions, want location.Location) {
		want.Written = s
		Expect(location.ParseDest(s, o)).To(Equal(want))
	},
	Entry("the origin thread's own", "my-hello-universe-flatten.cnb", location.DestOptions{Format: "file"}, location.Location{Kind: location.Path, Path: "my-hello-universe-flatten.cnb"}),
	Entry(".cnb is a file without --format", "out.cnb", location.DestOptions{}, location.Location{Kind: location.Path, Path: "out.cnb"}),
	Entry(".cnb is appended", "dir/out", location.DestOptions{Format: "file"}, location.Location{Kind: location.Path, Path: "dir/out.cnb"}),
	Entry("another extension is kept", "out.tar", location.DestOptions{Format: "file"}, location.Location{Kind: location.Path, Path: "out.tar"}),
	Entry("file://", "file:///tmp/out.cnb", location.DestOptions{}, location.Location{Kind: location.Path, Path: "/tmp/out.cnb"}),
	Entry("file://, .cnb is appended", "file:///tmp/out", location.DestOptions{Format: "file"}, location.Location{Kind: location.Path, Path: "/tmp/out.cnb"}),
	Entry("a layout", "oci:dir:tag", location.DestOptions{}, location.Location{Kind: location.OCILayout, Path: "dir", Ref: "tag"}),
	Entry("an OCI archive, --format file", "oci-archive:x.tar", location.DestOptions{Format: "file"}, location.Location{Kind: location.OCIArchive, Path: "x.tar"}),
	Entry("a Docker archive", "docker-archive:x.tar:a/b:1", location.DestOptions{}, location.Location{Kind: location.DockerArchive, Path: "x.tar", Ref: "a/b:1"}),
	Entry("a registry", "docker://localhost:5000/x:1", location.DestOptions{}, location.Location{Kind: location.Registry, Ref: "localhost:5000/x:1"}),
	Entry("a registry, --publish too", "docker://a/x:1", location.DestOptions{Publish: true, Format: "image"}, location.Location{Kind: location.Registry, Ref: "a/x:1"}),
	Entry("the daemon", "docker-daemon:a/x:1", location.DestOptions{Format: "image"}, location.Location{Kind: location.Daemon, Ref: "a/x:1"}),
	Entry("a plain reference", "a/x:1", location.DestOptions{}, location.Location{Kind: location.Daemon, Ref: "a/x:1"}),
	Entry("a plain reference with --publish", "a/x:1", location.DestOptions{Publish: true}, location.Location{Kind: location.Registry, Ref: "a/x:1"}),
)

var _ = DescribeTable("ParseDest refuses what contradicts itself",
	func(s string, o location.DestOptions, why string) {
		_, err := location.ParseDest(s, o)
		Expect(err).To(MatchError(And(HavePrefix("destination "), ContainSubstring(why))))
	},
	Entry("the daemon and --publish", "docker-daemon:x", location.DestOptions{Publish: true}, "--publish"),
	Entry("a file and --publish", "x.cnb", location.DestOptions{Publish: true}, "--publish"),
	Entry("a layout and --publish", "oci:x", location.DestOptions{Publish: true}, "--publish"),
	Entry("--format file and --publish", "x", location.DestOptions{Publish: true, Format: "file"}, "--publish"),
	Entry("a file and --format image", "x.cnb", location.DestOptions{Format: "image"}, "--format image"),
	Entry("an archive and --format image", "oci-archive:x", location.DestOptions{Format: "image"}, "--format image"),
	Entry("a registry and --format file", "docker://x", location.DestOptions{Format: "file"}, "--format file"),
	Entry("the daemon and --format file", "docker-daemon:x", location.DestOptions{Format: "file"}, "--format file"),
	Entry("a format that is unknown", "x.cnb", location.DestOptions{Format: "zip"}, "image or file"),
	Entry("a web server", "https://example.com/x", location.DestOptions{}, "docker://REF"),
	Entry("a digest", "docker://x@sha256:"+strings.Repeat("0", 64), location.DestOptions{}, "tag"),
	Entry("a path that says no form", "./x", location.DestOptions{}, "--format file"),
	Entry("an archive that says no form", "x.tgz", location.DestOptions{}, "--format file"),
	Entry("a directory", "x/", location.DestOptions{Format: "file"}, "invalid file name"),
	Entry("no reference", "UPPER", location.DestOptions{}, "invalid image reference"),
	Entry("Windows", `C:\x.cnb`, location.DestOptions{}, "Windows"),
	Entry("nothing", "", location.DestOptions{}, "empty"),
)
