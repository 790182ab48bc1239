package cli_test

import (
	"context"
	"io"
	"log"
	"net/http/httptest"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/google/go-containerregistry/pkg/registry"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/cli"
)

var _ = DescribeTable("a progress line leaves room for its bar and its bytes",
	func(columns int, total int64, left, right string) {
		l, r := cli.ProgressLine("downloading", "paketo-buildpacks/node-engine@18.19.0 and 13 more", columns, 12_345_678, total)
		Expect(l).To(Equal(left))
		Expect(r).To(Equal(right))
		Expect(utf8.RuneCountInString(l) + utf8.RuneCountInString(r) + 3 + 8).To(BeNumerically("<=", columns))
	},
	Entry("on 40 columns, without the total", 40, int64(180_000_000), "downloading paketo-…", "  12.3 MB"),
	Entry("on 80 columns", 80, int64(180_000_000), "downloading paketo-buildpacks/node-engi…", "  12.3 MB /  180.0 MB"),
	Entry("on 80 columns, of an unknown total", 80, int64(-1), "downloading paketo-buildpacks/node-engine@18.19.0 a…", "  12.3 MB"),
	Entry("on 200 columns", 200, int64(1_800_000_000), "downloading paketo-buildpacks/node-engine@18.19.0 and 13 more", "  12.3 MB /   1.80 GB"),
)

var _ = Describe("the lines of a run", func() {
	seconds := regexp.MustCompile(`(?m)^done in [0-9.]+ s: `)
	// lines runs the program, and gives what it says on standard error.
	lines := func(args ...string) []string {
		GinkgoHelper()
		r := laminate(args...)
		Expect(r.code).To(BeZero(), r.stderr)
		return strings.Split(strings.TrimSuffix(seconds.ReplaceAllString(r.stderr, "done: "), "\n"), "\n")
	}
	var host string
	BeforeEach(func() {
		server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
		DeferCleanup(server.Close)
		host = strings.TrimPrefix(server.URL, "http://")
		enterPackages("offline")
	})

	It("say once what became of each layer, in the order of the image, and then what the run came to", func() {
		By("building into a file")
		Expect(lines("package", "a.cnb", "--path", "../../buildpacks/hello-moon")).To(Equal([]string{
			"built       samples/hello-moon@0.0.1 (823 B)", "done: built 1 layer"}))
		By("building and sending, under two tags and into two repositories")
		all := []string{
			"uploaded    samples/hello-world@0.0.1 (641 B)", "uploaded    samples/hello-moon@0.0.1 (823 B)", "uploaded    samples/my-programming-lang@0.0.1 (390 B)",
			"uploaded    samples/java-maven@0.0.1 (873 B)", "uploaded    samples/kotlin-gradle@0.0.1 (863 B)", "uploaded    samples/ruby-bundler@0.0.1 (855 B)",
			"uploaded    samples/hello-universe@0.0.1 (358 B)", "done: built 7 layers, uploaded 4.8 kB"}
		Expect(lines("package", "docker://"+host+"/a:1", "--tag", host+"/a:2", "--tag", host+"/b:1")).To(Equal(all))
		By("finding all of it there")
		again := lines("package", "docker://"+host+"/a:1")
		Expect(again).To(HaveLen(8))
		Expect(again[0]).To(HavePrefix("reused      samples/hello-world@0.0.1, sha256:"))
		Expect(again[7]).To(Equal("done: reused 7 layers"))
		By("taking layers out of a registry into a file")
		Expect(lines("package", "b.cnb", "--path", "docker://"+host+"/a:1")).To(Equal(append(
			strings.Split(strings.ReplaceAll(strings.Join(all[:7], "\n"), "uploaded  ", "downloaded"), "\n"), "done: reused 7 layers, downloaded 4.8 kB")))
		By("making one layer of several out of a registry, and sending that")
		Expect(lines("package", "docker://"+host+"/c:1", "--path", "docker://"+host+"/a:1", "--flatten-group", "samples/ruby-bundler,samples/java-maven", "--flatten-exclude", "samples/hello-moon")).To(ContainElements(
			"downloaded  samples/java-maven@0.0.1 (873 B)", "downloaded  samples/ruby-bundler@0.0.1 (855 B)", "uploaded    samples/java-maven@0.0.1 and 1 more (1.7 kB)"))
	})

	It("name no layer twice with several targets", func() {
		said := lines("package", "docker://"+host+"/a:1", "--path", "../../buildpacks/hello-moon", "-t", "linux/amd64", "-t", "linux/arm64")
		Expect(said).To(Equal([]string{"uploaded    samples/hello-moon@0.0.1 (823 B)", "done: built 1 layer, uploaded 823 B"}))
	})

	It("are left out with --quiet, and with --dry-run but for warnings", func() {
		Expect(laminate("package", "-q", "a.cnb").stderr).To(BeEmpty())
		Expect(laminate("package", "--dry-run", "a.cnb").stderr).To(BeEmpty())
	})

	It("are in colour without a terminal where --force-color asks for it", func() {
		Expect(laminate("package", "a.cnb", "--flatten-layers", "--force-color").stderr).To(HavePrefix("\x1b[33mwarning:\x1b[0m "))
		Expect(laminate("package", "a.cnb", "--flatten-layers").stderr).To(HavePrefix("warning: "))
	})

	It("end without a summary where the run failed", func() {
		var stderr strings.Builder
		code := cli.Run(context.Background(), []string{"laminate", "package", "docker://127.0.0.1:1/x"}, io.Discard, &stderr, func(string) string { return "" })
		Expect(code).To(Equal(1))
		Expect(stderr.String()).NotTo(ContainSubstring("done in"))
	})
})
