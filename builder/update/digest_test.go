package update_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/update"
	"laminate/fixtures"
)

var _ = Describe("digests", func() {
	var w *world
	var old, new string // of 1.0.0, and of 1.1.0

	BeforeEach(func() {
		w = newWorld()
		old = w.push("example.com/acme/a:1.0.0", packaged("acme/a@1.0.0"))
		new = w.push("example.com/acme/a:1.1.0", packaged("acme/a@1.1.0"))
	})

	DescribeTable("stay, and are those of the new tag", func(line, want string) {
		fill := strings.NewReplacer("OLD", old, "NEW", new)
		text := "[[buildpacks]]\n" + line + "\n[[order]]\ngroup = [{id = 'acme/a', version = '1.0.0'}]\n"
		got, _ := w.updated(fill.Replace(text), update.Options{})
		Expect(got).To(Equal(strings.Replace(fill.Replace("[[buildpacks]]\n"+want+"\n[[order]]\ngroup = [{id = 'acme/a', version = '1.0.0'}]\n"), "version = '1.0.0'", "version = '1.1.0'", 1)))
		again, plan := w.updated(got, update.Options{})
		Expect(again).To(Equal(got))
		Expect(plan.Changes()).To(BeZero())
	},
		Entry("with a tag", `uri = "docker://example.com/acme/a:1.0.0@OLD"`, `uri = "docker://example.com/acme/a:1.1.0@NEW"`),
		Entry("with a tag, which no comment needs to say", `uri = "docker://example.com/acme/a:1.0.0@OLD" # 1.0.0`, `uri = "docker://example.com/acme/a:1.1.0@NEW" # 1.0.0`),
		Entry("with the tag in a comment", `uri = "docker://example.com/acme/a@OLD"  #  1.0.0, the old one`, `uri = "docker://example.com/acme/a@NEW"  #  1.1.0, the old one`),
		Entry("with tag and constraint in a comment", `uri = "docker://example.com/acme/a@OLD" # 1.0.0 laminate: ^1`, `uri = "docker://example.com/acme/a@NEW" # 1.1.0 laminate: ^1`),
		Entry("without any tag", `uri = "docker://example.com/acme/a@OLD" `, `uri = "docker://example.com/acme/a@NEW" # 1.1.0 `),
		Entry("without any tag, but a constraint", `uri = "docker://example.com/acme/a@OLD" # laminate: ^1`, `uri = "docker://example.com/acme/a@NEW" # 1.1.0 laminate: ^1`),
		Entry("without any tag, but another comment", `uri = "docker://example.com/acme/a@OLD" # the best`, `uri = "docker://example.com/acme/a@NEW" # the best`),
		Entry("with a tag that is no version, and a constraint", `uri = "docker://example.com/acme/a@OLD" # 01.0.0 laminate: ^1`, `uri = "docker://example.com/acme/a@NEW" # 01.0.0 laminate: ^1`),
		Entry("with what is neither tag nor constraint", `uri = "docker://example.com/acme/a@OLD" # 1C0.0 laminate: ^1`, `uri = "docker://example.com/acme/a@NEW" # 1C0.0 laminate: ^1`),
		Entry("with a comma after the tag", `uri = "docker://example.com/acme/a@OLD" # 1.0.0, laminate: ^1`, `uri = "docker://example.com/acme/a@NEW" # 1.1.0, laminate: ^1`),
		Entry("CRLF", "uri = \"docker://example.com/acme/a@OLD\"\r", "uri = \"docker://example.com/acme/a@NEW\" # 1.1.0\r"),
	)

	It("find the form in which versions are tagged", func() {
		digest := w.push("example.com:5000/acme/v:v1.0.0", packaged("acme/v@1.0.0"))
		w.pushAll("example.com:5000/acme/v", "acme/v", "v1.1.0", "1.2.0")
		text := "uri = 'example.com:5000/acme/v@" + digest + "'"
		Expect(w.become(text, update.Options{})).To(HaveSuffix(" # v1.1.0"))
		w.pushAll("example.com:5000/acme/v", "acme/v", "1.0.0")
		Expect(w.become(text, update.Options{})).To(HaveSuffix(" # 1.2.0"))
		Expect(w.become(text+" # v1.0.0", update.Options{})).To(HaveSuffix(" # v1.1.0"))
		w.Reset()
		Expect(w.become(text+" # laminate: pin", update.Options{})).To(HaveSuffix(digest + "' # laminate: pin"))
		Expect(w.Requests(nil)).To(BeEmpty())
	})

	It("are updated in lists and inline tables", func() {
		text := "buildpacks = [\n {uri = 'example.com/acme/a@OLD', id = 'acme/a'},\n {uri = 'example.com/acme/a@OLD'} , {uri = 'example.com/acme/a@OLD'},\n {uri = 'example.com/acme/a@OLD'}\n]\n"
		want := "buildpacks = [\n {uri = 'example.com/acme/a@NEW', id = 'acme/a'},\n {uri = 'example.com/acme/a@NEW'} , {uri = 'example.com/acme/a@NEW'},\n {uri = 'example.com/acme/a@NEW'} # 1.1.0\n]\n"
		got, _ := w.updated(strings.ReplaceAll(text, "OLD", old), update.Options{})
		Expect(got).To(Equal(strings.ReplaceAll(want, "NEW", new)))
	})

	It("are renewed where the tag moves", func() {
		was := w.push("example.com/acme/a:latest", packaged("acme/a@1.0.0", "acme/in@1.0.0"))
		now := w.push("example.com/acme/a:latest", packaged("acme/a@2.0.0", "acme/in@1.5.0"))
		text := "[[buildpacks]]\nuri = 'example.com/acme/a:latest@" + was + "'\n[[buildpacks]]\nuri = 'example.com/acme/a:latest'\n[[order]]\ngroup = [{id = 'acme/a', version = '1.0.0'}, {id = 'acme/in', version = '1.0.0'}]\n"
		got, plan := w.updated(text, update.Options{})
		Expect(got).To(Equal(strings.NewReplacer(was, now, "'acme/a', version = '1.0.0'", "'acme/a', version = '2.0.0'", "'acme/in', version = '1.0.0'", "'acme/in', version = '1.5.0'").Replace(text)))
		Expect(item(plan.Items[0])).To(Equal("builder.toml:2 buildpacks.uri example.com/acme/a latest -> latest (update)"))
		Expect(plan.Items[0].ToDigest).To(Equal(now))
		Expect(item(plan.Items[1])).To(Equal("builder.toml:4 buildpacks.uri example.com/acme/a latest ->  (moving) the tag latest moves"))

		held, plan := w.updated(text, update.Options{Only: update.Minor})
		Expect(held).To(Equal(text))
		Expect(item(plan.Items[0])).To(HaveSuffix("(held) latest has acme/a@2.0.0 now; limited by --only minor"))
		_, plan = w.updated("# laminate: ^1\n"+text+"", update.Options{})
		Expect(item(plan.Items[0])).To(HaveSuffix("(held) latest has acme/a@2.0.0 now; limited by ^1"))
		w.push("example.com/acme/a:latest", packaged("acme/a@new"))
		_, plan = w.updated("# laminate: ^1\n"+text, update.Options{})
		Expect(item(plan.Items[0])).To(HaveSuffix("(held) latest has acme/a@new now, which cannot be compared with ^1"))
		w.push("example.com/acme/a:latest", packaged("acme/a@0.9.0"))
		_, plan = w.updated(text, update.Options{})
		Expect(item(plan.Items[0])).To(HaveSuffix("(held) latest has acme/a@0.9.0 now, which is older"))
	})

	It("of moving tags are asked for with one request that is no pull", func() {
		digest := w.push("example.com/acme/a:latest", packaged("acme/a@1.0.0"))
		w.Reset()
		_, plan := w.updated("[[buildpacks]]\nuri = 'example.com/acme/a:latest@"+digest+"'\n", update.Options{})
		Expect(item(plan.Items[0])).To(Equal("builder.toml:2 buildpacks.uri example.com/acme/a latest ->  (current)"))
		Expect(w.Count(http.MethodHead, fixtures.Manifest)).To(Equal(1))
		Expect(w.Count(http.MethodGet, fixtures.Manifest)).To(BeZero())
		Expect(w.fails("[[buildpacks]]\nuri = 'example.com/acme/a:gone@" + digest + "'\n")).To(Equal("builder.toml:2: buildpacks.uri: example.com/acme/a:gone does not exist, or is not accessible"))
	})

	It("of base images without a tag stay, since their version is unknown", func() {
		digest := w.push("example.com/acme/build:1.0.0", nil)
		w.push("example.com/acme/build:1.1.0", map[string]string{"x": "y"})
		text := "[build]\nimage = 'example.com/acme/build@" + digest + "'\n"
		got, plan := w.updated(text, update.Options{})
		Expect(got).To(Equal(text))
		Expect(plan.Items[0].Reason).To(Equal("its version is unknown; write its tag in a comment on the line, as # 1.2.3"))
		got, _ = w.updated(strings.TrimSuffix(text, "\n")+" # 1.0.0\n", update.Options{})
		Expect(got).To(HaveSuffix("' # 1.1.0\n"))
	})

	It("are those of indexes", func() {
		img := labelled(packaged("acme/a@1.2.0"))
		Expect(remote.WriteIndex(w.at("example.com/acme/a:1.2.0"), indexOf(img))).To(Succeed())
		d, err := indexOf(img).Digest()
		Expect(err).NotTo(HaveOccurred())
		Expect(w.become("uri = 'example.com/acme/a:1.0.0@"+old+"'", update.Options{})).To(Equal("uri = 'example.com/acme/a:1.2.0@" + d.String() + "'"))
	})

	It("have links from labels", func() {
		labels := packaged("acme/a@1.2.0")
		labels["org.opencontainers.image.source"] = "https://github.com/acme/repo.git"
		labels["org.opencontainers.image.url"] = "javascript:alert(1)"
		w.push("example.com/acme/a:v1.2.0", labels)
		w.push("example.com/acme/a:v1.1.0", labels)
		links := func() update.Links {
			_, plan := w.updated("[[buildpacks]]\nuri = 'example.com/acme/a:v1.1.0'\n", update.Options{})
			return plan.Items[0].Links
		}
		Expect(links()).To(Equal(update.Links{Source: "https://github.com/acme/repo.git", URL: "https://github.com/acme/a", Releases: "https://github.com/acme/repo/releases?q=1.2.0"}))
		for _, bad := range []string{"ftp://github.com/acme/repo", "https://me:secret@github.com/acme/repo", "https://github.com/acme/repo?\x1b", "https://github.com/(acme)/repo", "https://github.com/" + strings.Repeat("a/", 200)} {
			labels["org.opencontainers.image.source"] = bad
			w.push("example.com/acme/a:v1.2.0", labels)
			Expect(links()).To(Equal(update.Links{URL: "https://github.com/acme/a", Releases: "https://github.com/acme/a/releases?q=1.2.0"}), bad)
		}
		labels["org.opencontainers.image.source"], labels["org.opencontainers.image.url"] = "https://gitlab.com/acme/a", "https://github.com/acme"
		w.push("example.com/acme/a:v1.2.0", labels)
		Expect(links()).To(Equal(update.Links{Source: "https://gitlab.com/acme/a", URL: "https://github.com/acme"}))
	})
})

var _ = Describe("registries", func() {
	var w *world

	BeforeEach(func() { w = newWorld() })

	It("list tags in pages", func() {
		w.pushAll("example.com/acme/a", "acme/a", "1.0.0")
		for i := range 5 {
			w.pushAll("example.com/acme/a", "acme/a", fmt.Sprintf("1.%d.0", i+1))
		}
		var pages atomic.Int32
		w.Before(func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/tags/list") {
				return false
			}
			n := pages.Add(1)
			if n < 4 {
				rw.Header().Set("Link", fmt.Sprintf(`</v2/acme/a/tags/list?n=2&last=%d>; rel="next"`, n))
			}
			fmt.Fprintf(rw, `{"name":"acme/a","tags":["1.%d.0","x%d"]}`, n+1, n)
			return true
		})
		Expect(w.become("uri = 'example.com/acme/a:1.0.0'", update.Options{})).To(Equal("uri = 'example.com/acme/a:1.5.0'"))
		Expect(pages.Load()).To(BeEquivalentTo(4))
	})

	It("are waited for when they say so", func() {
		w.pushAll("example.com/acme/a", "acme/a", "1.0.0", "1.1.0")
		var refused atomic.Int32
		w.Before(func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/tags/list") || refused.Add(1) > 1 {
				return false
			}
			rw.Header().Set("Retry-After", "1")
			rw.WriteHeader(http.StatusTooManyRequests)
			return true
		})
		begun := time.Now()
		Expect(w.become("uri = 'example.com/acme/a:1.0.0'", update.Options{})).To(Equal("uri = 'example.com/acme/a:1.1.0'"))
		Expect(time.Since(begun)).To(BeNumerically(">=", time.Second))
		Expect(refused.Load()).To(BeEquivalentTo(2))
	})

	It("are asked concurrently, within bounds", func() {
		var text strings.Builder
		for i := range 12 {
			repository := fmt.Sprintf("example.com/acme/a%d", i)
			w.pushTags(repository, "1.0.0")
			fmt.Fprintf(&text, "[[buildpacks]]\nuri = '%s:1.0.0'\n", repository)
		}
		var now, most atomic.Int32
		w.Before(func(http.ResponseWriter, *http.Request) bool {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(20 * time.Millisecond)
			now.Add(-1)
			return false
		})
		w.updated(text.String(), update.Options{Jobs: 3})
		Expect(most.Load()).To(BeEquivalentTo(3))
	})

	It("that fail for some are reported with all places, and asked no more than needed", func() {
		w.pushAll("example.com/acme/good", "acme/good", "1.0.0", "1.1.0")
		w.pushTags("example.com/acme/base", "1.0.0", "1.1.0")
		Expect(w.fails("[[buildpacks]]\nuri = 'example.com/acme/good:1.0.0'\n[[buildpacks]]\nuri = 'example.com/acme/none:1.0.0'\n[[buildpacks]]\nuri = 'example.com/acme/none:1.0.0'\n[[buildpacks]]\nuri = 'example.com/acme/none2:1.0.0'\n")).To(Equal(
			"builder.toml:4: buildpacks.uri: example.com/acme/none: registry example.com: 404 Not Found: NAME_UNKNOWN: Unknown name; check the name, or log in with `docker login example.com` if it is private\n" +
				"builder.toml:6: buildpacks.uri: example.com/acme/none: registry example.com: 404 Not Found: NAME_UNKNOWN: Unknown name; check the name, or log in with `docker login example.com` if it is private\n" +
				"builder.toml:8: buildpacks.uri: example.com/acme/none2: registry example.com: 404 Not Found: NAME_UNKNOWN: Unknown name; check the name, or log in with `docker login example.com` if it is private"))
		Expect(w.fails("[[buildpacks]]\nuri = 'example.com/acme/base:1.0.0'\n")).To(Equal("builder.toml:2: buildpacks.uri: example.com/acme/base:1.1.0: not a buildpackage"))
		Expect(w.fails("[[extensions]]\nuri = 'example.com/acme/good:1.0.0'\n")).To(Equal("builder.toml:2: extensions.uri: example.com/acme/good:1.1.0: not a buildpackage of an extension"))
		w.Reset()
		w.fails("[[buildpacks]]\nuri = 'example.com/acme/none:1.0.0'\n[[buildpacks]]\nuri = 'example.com/acme/none:1.0.0'\n")
		Expect(w.Requests(func(r fixtures.Request) bool { return r.Status == http.StatusNotFound })).To(HaveLen(1))
	})

	It("are left when the run is interrupted", func() {
		ctx, cancel := context.WithCancel(context.Background())
		w.Before(func(http.ResponseWriter, *http.Request) bool { cancel(); return false })
		f := newFolder(map[string]string{"builder.toml": "[[buildpacks]]\nuri = 'example.com/acme/a:1.0.0'\n"})
		files, err := update.Read(f.at("builder.toml"))
		Expect(err).NotTo(HaveOccurred())
		_, err = files.Plan(ctx, update.Options{Registry: w})
		Expect(err).To(MatchError(context.Canceled))
	})
})

var _ = Describe("files", func() {
	DescribeTable("that are wrong", func(text, message string) {
		Expect(newWorld().fails(text)).To(Equal(message))
	},
		Entry("of another kind", "api = '0.9'\n[buildpack]\nid = 'a'\n", "builder.toml: it is a buildpack.toml or extension.toml; name the package.toml or builder.toml, and a composite's buildpack.toml is updated with its package.toml"),
		Entry("of no kind", "a = 1\n", "builder.toml: it is neither a builder.toml nor a package.toml: it has no table of either"),
		Entry("empty", "", "builder.toml: it is neither a builder.toml nor a package.toml: it has no table of either"),
		Entry("no TOML", "[[buildpacks]\n", "builder.toml:1: expected ']]' to close array table name"),
		Entry("a type", "[[buildpacks]]\nuri = 5\n", "builder.toml:2: buildpacks.uri must be a string, not a number"),
		Entry("a reference", "[[buildpacks]]\nuri = 'docker://A/b:1.0.0'\n", `builder.toml:2: buildpacks.uri: source "docker://A/b:1.0.0": repository can only contain the characters `+"`abcdefghijklmnopqrstuvwxyz0123456789_-./`: A/b"),
		Entry("a constraint", "[[buildpacks]]\nuri = 'a/b:1.0.0' # laminate: 1.x.y.z\n", `builder.toml:2: invalid constraint "1.x.y.z"; write pin, or a range, such as ~1.2, ^1 or >=1.2 <2`),
		Entry("no constraint", "[[buildpacks]]\nuri = 'a/b:1.0.0' # laminate:\n", `builder.toml:2: the constraint is missing in "# laminate:"; write a range, such as ~1.2, or pin`),
		Entry("a constraint without colon", "[[buildpacks]]\nuri = 'a/b:1.0.0' # laminate pin\n", `builder.toml:2: the colon is missing in "# laminate pin"; write # laminate: pin`),
		Entry("a constraint of nothing", "# laminate: pin\n\n[[buildpacks]]\nuri = 'a/b:1.0.0'\n", `builder.toml:1: the constraint "pin" applies to nothing; write it on the line of a reference, directly above it, or at the header of its table`),
		Entry("a constraint of an order", "[[order]]\n[[order.group]]\nid = 'a'\nversion = '1.0.0' # laminate: pin\n", `builder.toml:4: the constraint "pin" applies to nothing; write it on the line of a reference, directly above it, or at the header of its table`),
		Entry("a range of a moving tag", "[[buildpacks]]\nuri = 'a/b' # laminate: ~1\n", "builder.toml:2: buildpacks.uri: the constraint ~1 has nothing to compare with: latest is not a version"),
		Entry("the lifecycle", "[lifecycle]\nversion = 'new'\n", `builder.toml:2: lifecycle.version: invalid version "new"; write a semantic version such as 0.21.0`),
		Entry("all at once", "[[buildpacks]]\nuri = 'docker://A/b:1.0.0'\n[lifecycle]\nversion = 5\n", `builder.toml:2: buildpacks.uri: source "docker://A/b:1.0.0": repository can only contain the characters `+"`abcdefghijklmnopqrstuvwxyz0123456789_-./`: A/b\nbuilder.toml:4: lifecycle.version must be a string, not a number"),
	)

	It("that are missing, or directories", func() {
		w := newWorld()
		f := newFolder(map[string]string{"dir/x": ""})
		for path, message := range map[string]string{"none.toml": "no such file or directory", "dir": "is a directory, not a file"} {
			_, err := w.plan(f.at(path), update.Options{})
			Expect(err).To(MatchError(f.at(path) + ": " + message))
		}
	})

	It("keep what is not in a registry", func() {
		w := newWorld()
		f := newFolder(map[string]string{"local/buildpack.toml": "", "builder.toml": `
[lifecycle]
uri = "https://example.com/lifecycle-v0.20.0.tgz"
[[buildpacks]]
uri = "local"
[[buildpacks]]
uri = "missing/dir/"
[[buildpacks]]
uri = "pip.tgz"
[[buildpacks]]
uri = "urn:cnb:registry:acme/java@1.0.0"
[[buildpacks]]
uri = "docker-daemon:acme/java:1.0.0"
[[buildpacks]]
uri = "from=builder:acme/java@1.0.0"
[[extensions]]
uri = "oci:dir:1.0.0"
`})
		plan, err := w.plan(f.at("builder.toml"), update.Options{})
		Expect(err).NotTo(HaveOccurred())
		var reasons []string
		for _, i := range plan.Items {
			Expect(i.Status).To(Equal(update.Skipped))
			reasons = append(reasons, filepath.Base(i.Name)+": "+i.Reason)
		}
		Expect(reasons).To(Equal([]string{
			"lifecycle-v0.20.0.tgz: a URL", "local: a local path", "dir: a local path", "pip.tgz: a local path",
			"java@1.0.0: the Buildpack Registry is not supported", "java:1.0.0: not in a registry", "java@1.0.0: not in a registry", "oci:dir:1.0.0: not in a registry",
		}))
		Expect(w.Requests(nil)).To(BeEmpty())
	})
})
