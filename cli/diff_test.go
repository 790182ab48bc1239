package cli_test

import (
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/packager/diff"
)

var _ = Describe("diff", func() {
	// twoBuilders writes oci:old and oci:new, for two platforms: acme/a changes, acme/alone goes and
	// acme/more comes.
	twoBuilders := func(targets string) {
		GinkgoHelper()
		enterBuilder()
		make := func(dest string, args ...string) {
			digest(laminate(append([]string{"builder", "create", dest, "-c", "builder.toml", "--skip-run-image-check", "-t", targets}, args...)...))
		}
		make("oci:old")
		put("a/data", "changed")
		Expect(laminate("package", "-q", "left.cnb", "-c", "left.toml", "--flatten-layers=all").code).To(BeZero())
		putBuildpack("more")
		toml, err := os.ReadFile("builder.toml")
		Expect(err).NotTo(HaveOccurred())
		put("builder.toml", strings.NewReplacer(`uri = "alone"`, `uri = "more"`, `id = "acme/alone"`, `id = "acme/more"`).Replace(string(toml)))
		make("oci:new", "--previous", "oci:old")
	}

	It("tells what changed, and what users pull", func() {
		twoBuilders("linux/amd64")
		r := laminate("diff", "oci:old", "oci:new")
		Expect(r.stderr).To(BeEmpty())
		Expect(r.code).To(BeZero())
		Expect(r.stdout).To(HavePrefix("oci:old -> oci:new\n1 buildpack added, 1 removed, 1 rebuilt; users pull "))
		for _, part := range []string{
			"\nbuildpacks\n  - acme/alone  1\n  + acme/more   1\n  ~ acme/a      1  in acme/left; same version, different content\n  4 unchanged\n",
			"\norder\n  ~ group 1: added acme/more; removed acme/alone\n",
			"\nlayers\n  before: ",
			"  build image: 1 layer, unchanged\n",
		} {
			Expect(r.stdout).To(ContainSubstring(part))
		}
		for line := range strings.Lines(r.stdout) {
			Expect(len([]rune(strings.TrimSuffix(line, "\n")))).To(BeNumerically("<=", 100), line)
		}
		Expect(r.stdout).NotTo(ContainSubstring("\x1b"))
		Expect(laminate("diff", "oci:old", "oci:new", "--force-color").stdout).To(ContainSubstring("\x1b[32m  + acme/more   1\x1b[0m\n"))
	})

	It("says what all platforms have in common once", func() {
		twoBuilders("linux/amd64,linux/arm64")
		r := laminate("diff", "oci:old", "oci:new")
		Expect(strings.Count(r.stdout, "acme/more")).To(Equal(strings.Count(laminate("diff", "oci:old", "oci:new", "-t", "linux/arm64").stdout, "acme/more")))
		Expect(r.stdout).To(ContainSubstring("\nbuildpacks\n"))
		digest(laminate("builder", "create", "oci:one", "-c", "builder.toml", "--skip-run-image-check", "-t", "linux/arm64"))
		r = laminate("diff", "oci:old", "oci:one")
		Expect(r.stdout).To(ContainSubstring("removed linux/amd64; "))
		r = laminate("diff", "oci:old", "oci:one", "--target", "linux/amd64")
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(ContainSubstring("oci:one: no image for linux/amd64; available: linux/arm64"))
	})

	It("says that images are identical", func() {
		enterBuilder()
		digest(create("oci:old"))
		for _, args := range [][]string{{}, {"--exit-code"}} {
			r := laminate(append([]string{"diff", "oci:old", "oci:old"}, args...)...)
			Expect(r).To(Equal(result{0, "oci:old -> oci:old\nthe images are identical\n", "warning: OLD and NEW are both oci:old\n"}))
		}
	})

	It("tells a difference by the exit code, if asked", func() {
		twoBuilders("linux/amd64")
		r := laminate("diff", "oci:old", "oci:new", "--exit-code")
		Expect(r.code).To(Equal(3))
		Expect(r.stderr).To(BeEmpty())
		Expect(r.stdout).NotTo(BeEmpty())
	})

	It("compares a buildpackage with a builder, and says so first", func() {
		enterBuilder()
		digest(create("oci:old"))
		r := laminate("diff", "left.cnb", "oci:old")
		Expect(r.code).To(BeZero())
		Expect(strings.Split(r.stdout, "\n")[2]).To(HavePrefix("OLD is a buildpackage and NEW is a builder: "))
	})

	It("prints Markdown", func() {
		twoBuilders("linux/amd64")
		r := laminate("diff", "oci:old", "oci:new", "--output", "markdown")
		Expect(r.stdout).To(HavePrefix("### oci:old → oci:new\n\n1 buildpack added, 1 removed, 1 rebuilt; users pull "))
		Expect(r.stdout).To(ContainSubstring("\n#### Buildpacks\n\n| Buildpack | From | To |\n| --- | --- | --- |\n| acme/alone | 1 |  |\n| acme/more |  | 1 |\n\n<details>\n<summary>1 nested buildpack changed</summary>\n\n| Buildpack | From | To | In |\n"))
	})

	It("prints JSON whose keys its page describes", func() {
		twoBuilders("linux/amd64")
		doc := decoded(laminate("diff", "oci:old", "oci:new", "--output", "json"))
		Expect(doc["schema"]).To(BeEquivalentTo(1))
		img := doc["images"].([]any)[0].(object)
		Expect(img["modules"].([]any)).To(HaveLen(3))
		Expect(img["layers"].(object)["pull"].(object)["bytes"]).To(BeNumerically(">", 0))
		var quoted []string
		for i, s := range strings.Split(readPage("docs/diff.md"), "`") {
			if i%2 == 1 {
				quoted = append(quoted, strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(".[], ", r) })...)
			}
		}
		for _, key := range keysOf(reflect.TypeOf(diff.Report{})) {
			Expect(slices.Contains(quoted, key)).To(BeTrue(), key)
		}
	})

	DescribeTable("tells what is wrong", func(code int, want string, args ...string) {
		enterBuilder()
		r := laminate(append([]string{"diff"}, args...)...)
		Expect(r.code).To(Equal(code))
		Expect(r.stdout).To(BeEmpty())
		Expect(r.stderr).To(ContainSubstring(want))
	},
		Entry("nothing given", 2, "OLD is missing"),
		Entry("no NEW", 2, "NEW is missing; name an image", "left.cnb"),
		Entry("three", 2, "3 arguments; write OLD NEW", "a", "b", "c"),
		Entry("an unknown output", 2, `invalid value "html" for --output; write json, markdown or text`, "left.cnb", "right.cnb", "--output", "html"),
		Entry("a file that is not there", 2, "NEW: source \"./gone.cnb\"", "left.cnb", "./gone.cnb"),
		Entry("both registries are dead, and both are named", 1, "2 problems:", "127.0.0.1:1/a", "127.0.0.1:1/b"),
	)
})

// chains counts how many requests to a registry come one after the other, for each repository: a
// request comes after those that were answered before it began.
type chains struct {
	mu       sync.Mutex
	answered map[string]int
	longest  int
}

// slowly delays the answer, so that requests that do not wait for one another overlap.
func (c *chains) slowly(_ http.ResponseWriter, r *http.Request) bool {
	repo, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/acme/"), "/")
	if r.URL.Path == "/v2/" {
		time.Sleep(50 * time.Millisecond)
		return false // the first request of every chain
	}
	c.mu.Lock()
	depth := c.answered[repo] + 1
	c.longest = max(c.longest, depth)
	c.mu.Unlock()
	time.Sleep(50 * time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered[repo] = max(c.answered[repo], depth)
	return false
}

var _ = Describe("diff of images in a registry", func() {
	It("makes few round trips, and reads no layer", func() {
		enterBuilder()
		registry := fixtures.CountedRegistry(GinkgoT())
		for _, repo := range []string{"old", "new"} {
			put("a/data", repo)
			Expect(laminate("package", "-q", "left.cnb", "-c", "left.toml", "--flatten-layers=all").code).To(BeZero())
			digest(laminate("builder", "create", "docker://"+registry.Host+"/acme/"+repo+":1", "-c", "builder.toml", "--skip-run-image-check", "-t", "linux/amd64,linux/arm64", "--no-cache"))
		}
		registry.Reset()
		in := chains{answered: map[string]int{}}
		registry.Before(in.slowly)
		r := laminate("diff", registry.Host+"/acme/old:1", registry.Host+"/acme/new:1")
		Expect(r.code).To(BeZero(), r.stderr)
		Expect(r.stdout).To(ContainSubstring("1 buildpack rebuilt"))
		Expect(1+in.longest).To(BeNumerically("<=", 4), "ping, index, manifests, configs")
		Expect(registry.Count(http.MethodGet, fixtures.Ping)).To(Equal(1))
		down, _ := registry.Layers()
		Expect(down).To(BeZero())
		Expect(registry.Count(http.MethodGet, fixtures.Blob)).To(Equal(4), "a config for each platform of both")
	})

	It("works where no layer can be read", func() {
		enterBuilder()
		registry := fixtures.CountedRegistry(GinkgoT())
		digest(create("docker://" + registry.Host + "/acme/old:1"))
		put("alone/data", "x")
		digest(create("docker://" + registry.Host + "/acme/new:1"))
		configs := map[string]bool{}
		for _, repo := range []string{"old", "new"} {
			img, err := remote.Image(must(name.ParseReference(registry.Host + "/acme/" + repo + ":1")))
			Expect(err).NotTo(HaveOccurred())
			configs[must(img.ConfigName()).String()] = true
		}
		registry.Before(func(w http.ResponseWriter, r *http.Request) bool {
			_, blob, is := strings.Cut(r.URL.Path, "/blobs/")
			if is && !configs[blob] {
				w.WriteHeader(http.StatusForbidden)
			}
			return is && !configs[blob]
		})
		r := laminate("diff", registry.Host+"/acme/old:1", registry.Host+"/acme/new:1")
		Expect(r.code).To(BeZero(), r.stderr)
		Expect(r.stdout).To(ContainSubstring("1 buildpack rebuilt"))
	})
})

var _ = It("diff escapes what could be markup or move the cursor", func() {
	enterBuilder()
	hostile := "x|`<b>\x1b[2J\n# y"
	digest(create("oci:old"))
	digest(create("oci:new", "--label", "evil="+hostile, "--previous", "oci:old"))
	text := laminate("diff", "oci:old", "oci:new").stdout
	Expect(text).NotTo(ContainSubstring("\x1b"))
	Expect(text).To(ContainSubstring("+ evil  x|`<b>\ufffd[2J\ufffd# y\n"))
	Expect(laminate("diff", "oci:old", "oci:new", "--output", "markdown").stdout).To(ContainSubstring("| evil |  | x\\|\\`\\<b\\>\ufffd\\[2J \\# y |\n"))
})

func must[T any](value T, err error) T {
	GinkgoHelper()
	Expect(err).NotTo(HaveOccurred())
	return value
}
