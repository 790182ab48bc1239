package cli_test

import (
	"net/http"
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
)

var _ = Describe("builder history", func() {
	var repo string
	var registry *fixtures.Traffic

	BeforeEach(func() {
		enterBuilder()
		registry = fixtures.CountedRegistry(GinkgoT())
		repo = registry.Host + "/acme/builder"
		for _, v := range []string{"1.0.0", "1.1.0"} {
			put("a/data", v)
			Expect(create("docker://"+repo+":"+v, "-q", "--no-cache").code).To(BeZero())
		}
	})

	It("prints what simulate reads", func() {
		r := laminate("builder", "history", repo)
		Expect(r.code).To(BeZero())
		Expect(r.stderr).To(Equal(repo + ": 2 releases, 2 of them read now\n"))
		put("history.json", r.stdout)
		again := laminate("builder", "history", "docker://"+repo, "--quiet", "--jobs", "1")
		Expect(again).To(Equal(result{0, r.stdout, ""}))
		scored := laminate("builder", "simulate", "--history", "history.json", "--plan", "all")
		Expect(scored.stderr).To(BeEmpty())
		Expect(scored.stdout).To(HavePrefix(repo + ", 1.0.0 to 1.1.0: MB that are pulled per release, over 1 step\n"))
	})

	It("keeps a file, and reads what it does not have", func() {
		Expect(laminate("builder", "history", repo, "--file", "h.json.gz", "--last", "1")).
			To(Equal(result{0, "", repo + ": 1 release, 1 of them read now\n"}))
		registry.Reset()
		Expect(laminate("builder", "history", repo, "--file", "h.json.gz")).
			To(Equal(result{0, "", repo + ": 2 releases, 1 of them read now\n"}))
		Expect(registry.Count(http.MethodGet, fixtures.Manifest)).To(Equal(1))
		Expect(laminate("builder", "history", repo, "--file", "plain.json", "-q").code).To(BeZero())
		zipped, err := os.ReadFile("h.json.gz")
		Expect(err).NotTo(HaveOccurred())
		Expect(string(zipped[:2])).To(Equal("\x1f\x8b"))
		plain, err := os.ReadFile("plain.json")
		Expect(err).NotTo(HaveOccurred())
		for _, file := range []string{"h.json.gz", "plain.json"} {
			r := laminate("builder", "simulate", "--history", file, "--plan", "exploded")
			Expect(r.code).To(BeZero())
		}
		Expect(laminate("builder", "history", repo, "-q").stdout).To(Equal(string(plain)))
	})

	It("tells what is left out, and what is not a version", func() {
		Expect(create("docker://"+repo+":latest", "-q").code).To(BeZero())
		Expect(laminate("package", "docker://"+repo+":1.2.0", "-c", "left.toml", "-q").code).To(BeZero())
		r := laminate("builder", "history", repo, "--file", "h.json")
		Expect(r).To(Equal(result{0, "", "warning: " + repo + ":1.2.0 skipped: not a builder: missing label io.buildpacks.builder.metadata\n" +
			repo + ": 2 releases, 2 of them read now; 1 version left out; 1 other tag not looked at\n"}))
	})

	It("says how to go on when the registry fails", func() {
		Expect(laminate("builder", "history", repo, "--file", "h.json", "--last", "1", "-q").code).To(BeZero())
		before, err := os.ReadFile("h.json")
		Expect(err).NotTo(HaveOccurred())
		registry.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/manifests/1.0.0") {
				w.WriteHeader(http.StatusForbidden)
				return true
			}
			return false
		})
		r := laminate("builder", "history", repo, "--file", "h.json")
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(HavePrefix("laminate: " + repo + ":1.0.0: registry " + registry.Host + ": 403 Forbidden"))
		Expect(r.stderr).To(HaveSuffix("; h.json has 1 release; the same command goes on from there\n"))
		Expect(os.ReadFile("h.json")).To(Equal(before))
		r = laminate("builder", "history", repo)
		Expect(r.code).To(Equal(1))
		Expect(r.stdout).To(BeEmpty())
		Expect(strings.Count(r.stderr, "\n")).To(Equal(1))
	})

	It("does not touch a file that is none of its own", func() {
		put("other.json", twoReleases)
		r := laminate("builder", "history", repo, "--file", "other.json")
		Expect(r).To(Equal(result{1, "", "laminate: the existing history of acme/builder was not collected from a registry; use another file\n"}))
		put("broken.json", "{")
		Expect(laminate("builder", "history", repo, "--file", "broken.json").stderr).To(HavePrefix("laminate: broken.json: "))
		for name, content := range map[string]string{"other.json": twoReleases, "broken.json": "{"} {
			Expect(os.ReadFile(name)).To(Equal([]byte(content)))
		}
	})

	DescribeTable("refuses what makes no sense, before anything is tried", func(want string, args ...string) {
		registry.Reset()
		r := laminate(append([]string{"builder", "history"}, args...)...)
		Expect(r).To(Equal(result{2, "", "laminate: " + want + "\nSee: laminate builder history --help\n"}))
		Expect(registry.Requests(nil)).To(BeEmpty())
	},
		Entry("no REPO", "REPO is missing; name the builder's repository, as in acme/builder"),
		Entry("two", "2 arguments; write one REPO, as in acme/builder", "a", "b"),
		Entry("a tag", `invalid REPO "acme/b:1": all of its tags are read; leave out what comes after acme/b`, "acme/b:1"),
		Entry("no name", `invalid REPO "ACME": invalid reference format: repository name (library/ACME) must be lowercase; write a repository of a registry, as in acme/builder`, "ACME"),
		Entry("a limit that is none", `invalid --since "yesterday"; write a version, as 1.2.3, or a date, as 2025-01-31`, "a/b", "--since", "yesterday"),
		Entry("no releases", "--last needs a number from 1 on", "a/b", "--last", "0"),
		Entry("no jobs", "--jobs needs a number from 1 to 64", "a/b", "--jobs", "0"),
		Entry("too many jobs", "--jobs needs a number from 1 to 64", "a/b", "--jobs", "65"),
		Entry("two platforms", "--target is one platform, as linux/amd64", "a/b", "-t", "linux/amd64,linux/arm64"),
		Entry("another system", "--target windows/amd64: laminate makes images for linux only; write linux/amd64 or the like", "a/b", "-t", "windows/amd64"),
		Entry("an empty FILE", "--file has an empty value", "a/b", "--file", ""),
		Entry("a host that is none", `invalid --insecure-registry "a/b"; write HOST or HOST:PORT`, "a/b", "--insecure-registry", "a/b"),
	)
})
