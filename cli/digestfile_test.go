package cli_test

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/registry"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("--digest-file", func() {
	BeforeEach(func() { enterPackages("offline") })
	read := func() string {
		GinkgoHelper()
		content, err := os.ReadFile("digest")
		Expect(err).NotTo(HaveOccurred())
		return string(content)
	}

	It("has the digest that standard output has", func() {
		Expect(digestLine(laminate("package", "a.cnb", "--digest-file", "digest"))).To(Equal(read()))
		Expect(digestLine(laminate("package", "oci:a", "--digest-file", "digest"))).To(Equal(read()))
		By("leaving out that of more tags, and of the images of an index")
		server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
		defer server.Close()
		host := strings.TrimPrefix(server.URL, "http://")
		r := laminate("package", "docker://"+host+"/a:1", "--tag", host+"/a:2", "-t", "linux/amd64", "-t", "linux/arm64", "--append-image-name-suffix", "--digest-file", "digest")
		Expect(strings.Count(r.stdout, "\n")).To(Equal(4), r.stderr)
		Expect(read()).To(Equal(digest(r) + "\n"))
	})

	It("has a line for each file of several targets", func() {
		r := laminate("package", "a.cnb", "--path", "../../buildpacks/hello-moon", "-t", "linux/amd64", "-t", "linux/arm64", "--digest-file", "digest")
		lines := strings.Split(r.stdout, "\n")
		Expect(lines).To(HaveLen(3), r.stderr)
		Expect(read()).To(Equal(lines[0][:71] + "\n" + lines[1][:71] + "\n"))
	})

	It("is there only where the output is, and never that of an earlier run", func() {
		Expect(laminate("package", "a.cnb", "--digest-file", "digest").code).To(BeZero())
		Expect(laminate("package", "a.cnb", "--digest-file", "digest", "--dry-run").code).To(BeZero())
		Expect("digest").To(BeARegularFile())
		Expect(laminate("package", "docker://127.0.0.1:1/a", "--digest-file", "digest").code).To(Equal(1))
		Expect("digest").NotTo(BeAnExistingFile())
	})

	It("is no part of what is packaged", func() {
		first := digest(laminate("package", "a.cnb", "--path", "../../buildpacks/hello-moon"))
		for range 2 {
			Expect(digest(laminate("package", "a.cnb", "--path", "../../buildpacks/hello-moon", "--digest-file", "../../buildpacks/hello-moon/digest"))).To(Equal(first))
		}
	})

	DescribeTable("is refused before anything is made", func(file, want string) {
		Expect(syscall.Mkfifo("fifo", 0o600)).To(Succeed())
		Expect(laminate("package", "a.cnb", "--digest-file", file)).To(Equal(result{1, "", "laminate: " + want + "\n"}))
		Expect("a.cnb").NotTo(BeAnExistingFile())
		Expect("package.toml").To(BeARegularFile())
	},
		Entry("in a directory that is not there", "nope/digest", "--digest-file nope/digest: no directory nope; make it, or name another file"),
		Entry("over a file with other content", "package.toml", "--digest-file package.toml: it exists and holds something else than digests; remove it, or name another file"),
		Entry("over a directory", "..", "--digest-file ..: it is not a regular file; name another file"),
		Entry("over a pipe", "fifo", "--digest-file fifo: it is not a regular file; name another file"),
	)
})

func digestLine(r result) string { return digest(r) + "\n" }
