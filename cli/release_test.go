package cli_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/release"
	"laminate/cli"
	"laminate/fixtures"
	"laminate/fixtures/workbench"
)

var hexDigest = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

var _ = Describe("release", func() {
	var l *releaseLab
	BeforeEach(func() { l = newReleaseLab() })

	It("prints the digest of each tag, and then that nothing has changed", func() {
		r := l.run("--release-version", "v1.2.3")
		Expect(r.code).To(BeZero(), r.stderr)
		Expect(r.stderr).To(BeEmpty())
		Expect(hexDigest.ReplaceAllString(r.stdout, "D")).To(Equal("D\tdocker://HOST/builder:1.2.3-full\nD\tdocker://HOST/builder:full\nD\tdocker://HOST/builder:1.2.3-buildpackless-full\nD\tdocker://HOST/builder:buildpackless-full\n"))
		again := l.run("--release-version", "1.2.3")
		Expect(again).To(Equal(r), "it is released")
		r = l.run("--release-version", "1.2.4")
		Expect(r.code).To(BeZero(), r.stderr)
		Expect(hexDigest.ReplaceAllString(r.stdout, "D")).To(Equal("full is unchanged since HOST/builder:1.2.3-full: D\nbuildpackless-full is unchanged since HOST/builder:1.2.3-buildpackless-full: D\n"))
	})

	It("prints JSON that matches its schema", func() {
		for _, args := range [][]string{{"--release-version", "1.0.0", "--dry-run"}, {"--release-version", "1.0.0"}, {"--release-version", "1.0.0"}, {}, {"--release-version", "1.1.0", "--force"}} {
			r := l.run(append(args, "--output", "json")...)
			Expect(r.code).To(BeZero(), r.stderr)
			workbench.ExpectValid("release.schema.json", []byte(r.stdout))
			Expect(r.stdout).NotTo(ContainSubstring("null"))
		}
	})

	It("has a schema with the fields of the report, and no others", func() {
		data, err := os.ReadFile(filepath.Join(fixtures.Root(), "..", "docs", "release.schema.json"))
		Expect(err).NotTo(HaveOccurred())
		type object struct {
			Properties map[string]any
			Required   []string
			Defs       map[string]object `json:"$defs"`
		}
		var root object
		Expect(json.Unmarshal(data, &root)).To(Succeed())
		for of, t := range map[string]reflect.Type{"": reflect.TypeFor[release.Report](), "item": reflect.TypeFor[release.ItemReport](), "image": reflect.TypeFor[release.ImageReport]()} {
			of := root.Defs[of]
			if len(of.Properties) == 0 {
				of = root
			}
			var fields, required []string
			for i := range t.NumField() {
				key, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
				if fields = append(fields, key); options == "" {
					required = append(required, key)
				}
			}
			var have []string
			for key := range of.Properties {
				have = append(have, key)
			}
			Expect(have).To(ConsistOf(fields))
			Expect(of.Required).To(ConsistOf(required))
		}
	})

	It("writes to no registry in a dry run", func() {
		r := l.run("--release-version", "1.2.3", "--dry-run", "--notes", l.At("notes.md"))
		Expect(r.code).To(BeZero(), r.stderr)
		Expect(r.stdout).To(ContainSubstring("\tdocker://HOST/builder:1.2.3-full\n"))
		Expect(l.At("notes.md")).To(BeARegularFile())
		Expect(string(must(os.ReadFile(l.At("notes.md"))))).To(HavePrefix("This is a dry run.\n\n## Release 1.2.3\n"))
		r = laminateWith(nil, "release", "--config", l.At("release.toml"), "--no-cache", "--release-version", "1.2.3", "--dry-run")
		Expect(r.stderr).To(HaveSuffix("dry run: 1.2.3 is not released, and nothing was verified or smoked\n"))
		Expect(l.writes()).To(BeEmpty())
	})

	It("has notes that say what came of a run that failed, or was killed", func() {
		notes := l.At("notes.md")
		var during string
		l.Before(func(w http.ResponseWriter, r *http.Request) bool {
			refused := r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/")
			if refused {
				during = string(must(os.ReadFile(notes)))
				w.WriteHeader(http.StatusBadRequest)
			}
			return refused
		})
		r := l.run("--release-version", "1.2.3", "--notes", notes)
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(And(HavePrefix("laminate: full: "), HaveSuffix("; no tag was written\n")))
		Expect(during).To(HavePrefix("This release is not finished.\n\n## Release 1.2.3\n"))
		Expect(string(must(os.ReadFile(notes)))).To(And(HavePrefix("## Not released\n\nfull: "), HaveSuffix("; no tag was written\n"), Not(ContainSubstring("1.2.3-full"))))
		l.Before(nil)
		Expect(l.run("--release-version", "1.2.3", "--notes", notes).code).To(BeZero())
		Expect(string(must(os.ReadFile(notes)))).To(HavePrefix("## Release 1.2.3\n"))
		Expect(l.run("--notes", notes, "--release-version", "x").code).To(Equal(1))
		Expect(string(must(os.ReadFile(notes)))).To(HavePrefix("## Not released\n\ninvalid version"), "which would be those of an earlier run")
	})

	DescribeTable("is used in a wrong way", func(want string, code int, args ...string) {
		r := laminateWith(nil, append([]string{"release"}, args...)...)
		Expect(r.stderr).To(HavePrefix("laminate: " + want + "\n"))
		Expect(r.code).To(Equal(code))
		Expect(r.stdout).To(BeEmpty())
	},
		Entry("with arguments", "1 argument; release.toml says what is released where", 2, "acme/builder"),
		Entry("with another output", `invalid value "xml" for --output; write text or json`, 2, "--output", "xml"),
		Entry("with an empty version", "--release-version has an empty value", 2, "--release-version", ""),
		Entry("without a file", "release.toml: no such file; name the release.toml to read", 1),
		Entry("with a file that is missing", "--config other.toml: no such file; name the release.toml to read", 1, "--config", "other.toml"),
		Entry("with a directory", "--config ..: it is a directory; name the release.toml in it", 1, "--config", ".."),
		Entry("with a host that cannot be", "invalid --insecure-registry \"http://x\"; write HOST or HOST:PORT", 2, "--insecure-registry", "http://x"),
	)

	It("refuses a builder.toml, and says what belongs in release.toml", func() {
		r := laminateWith(nil, "release", "--config", l.At("builder.toml"))
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(ContainSubstring("builder.toml:1: unknown key \"description\"; description belongs in [[builders.variants]]\n"))
	})

	Describe("its version", func() {
		released := func(vars map[string]string, args ...string) string {
			GinkgoHelper()
			r := l.runWith(vars, append(args, "--dry-run", "--output", "json")...)
			if r.code != 0 {
				return r.stderr
			}
			var report release.Report
			Expect(json.Unmarshal([]byte(r.stdout), &report)).To(Succeed())
			return report.Version
		}

		It("is that of the flag, the workflow's tag or the file, in this order", func() {
			l.Write("VERSION", "v0.3.0\n")
			l.Write("release.toml", "version-file = 'VERSION'\n[[builders]]\nname = 'full'\nconfig = 'builder.toml'\nrepositories = ['"+l.Host+"/builder']\n")
			tag := map[string]string{"GITHUB_REF_TYPE": "tag", "GITHUB_REF_NAME": "v0.2.0"}
			Expect(released(tag, "--release-version", "0.1.0")).To(Equal("0.1.0"))
			Expect(released(tag)).To(Equal("0.2.0"))
			Expect(released(map[string]string{"GITHUB_REF_TYPE": "branch", "GITHUB_REF_NAME": "9.9.9"})).To(Equal("0.3.0"))
			l.Write("VERSION", " \n")
			Expect(released(nil)).To(Equal("laminate: release.toml:1: version-file VERSION is empty\n"))
			Expect(os.Remove(l.At("VERSION"))).To(Succeed())
			Expect(released(nil)).To(Equal("laminate: release.toml:1: version-file: no such file VERSION\n"))
		})

		It("is missing", func() {
			r := l.run("--notes", l.At("notes.md"))
			Expect(r.code).To(Equal(3))
			Expect(r.stderr).To(Equal("laminate: there is something to release, but no version for it; name one with --release-version, version-file or the tag of a workflow\n"))
			Expect(string(must(os.ReadFile(l.At("notes.md"))))).To(And(HavePrefix("Not released: there is no version.\n\n## Release\n"), ContainSubstring("### full\n")))
			Expect(l.writes()).To(BeEmpty())
		})

		It("cannot be more lines than one", func() {
			output := l.At("output")
			r := l.runWith(map[string]string{"GITHUB_REF_TYPE": "tag", "GITHUB_REF_NAME": "1.0.0\nreleased=true", "GITHUB_OUTPUT": output})
			Expect(r.code).To(Equal(1))
			Expect(r.stderr).To(Equal(`laminate: invalid version "1.0.0\nreleased=true"; write a semantic version, as in 1.2.3` + "\n"))
			Expect(output).NotTo(BeAnExistingFile())
		})
	})

	Describe("in a GitHub workflow", func() {
		var vars map[string]string
		read := func(name string) string {
			GinkgoHelper()
			data, err := os.ReadFile(vars[name])
			Expect(err).NotTo(HaveOccurred())
			return strings.ReplaceAll(hexDigest.ReplaceAllString(string(data), "D"), l.Host, "HOST")
		}
		BeforeEach(func() {
			vars = map[string]string{"GITHUB_OUTPUT": l.At("output"), "GITHUB_STEP_SUMMARY": l.At("summary")}
			l.Write("output", "before=1\n")
		})

		It("adds outputs and a summary", func() {
			Expect(l.runWith(vars, "--release-version", "1.0.0").code).To(BeZero())
			Expect(read("GITHUB_OUTPUT")).To(Equal("before=1\nreleased=true\nstate=released\nversion=1.0.0\ndigest-full=D\ndigest-buildpackless-full=D\n"))
			Expect(read("GITHUB_STEP_SUMMARY")).To(HavePrefix("## Release 1.0.0\n"))
		})

		It("says that there is nothing to release", func() {
			Expect(l.run("--release-version", "1.0.0").code).To(BeZero())
			Expect(l.runWith(vars, "--release-version", "1.0.1").code).To(BeZero())
			Expect(read("GITHUB_OUTPUT")).To(HavePrefix("before=1\nreleased=false\nstate=unchanged\nversion=1.0.1\n"))
			Expect(read("GITHUB_STEP_SUMMARY")).To(And(HavePrefix("## Nothing to release\n"), ContainSubstring("Unchanged since `HOST/builder:1.0.0-full`."), Not(ContainSubstring("1.0.1"))))
		})

		It("says that it is a dry run, or failed", func() {
			Expect(l.runWith(vars, "--release-version", "1.0.0", "--dry-run").code).To(BeZero())
			Expect(read("GITHUB_STEP_SUMMARY")).To(HavePrefix("This is a dry run.\n\n## Release 1.0.0\n"))
			Expect(read("GITHUB_OUTPUT")).To(ContainSubstring("released=false\n"))
			Expect(os.Remove(l.At("summary"))).To(Succeed())
			l.Before(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/full") {
					w.WriteHeader(http.StatusBadRequest)
					return true
				}
				return false
			})
			r := l.runWith(vars, "--release-version", "1.0.0")
			Expect(r.code).To(Equal(1))
			Expect(r.stderr).To(And(HavePrefix("laminate: full: "), HaveSuffix("; some tags may have been written; run it again to finish\n")))
			Expect(read("GITHUB_STEP_SUMMARY")).To(HavePrefix("## Not released\n\nfull: "))
			Expect(r.stdout).To(BeEmpty())
			outputs := read("GITHUB_OUTPUT")
			Expect(outputs[strings.LastIndex(outputs, "released="):]).To(Equal("released=false\nstate=pending\nversion=1.0.0\n"), "without digests")
		})

		It("has names in its outputs that are names there", func() {
			l.Write("release.toml", strings.Replace(string(must(os.ReadFile(l.At("release.toml")))), "name = 'full'", "name = 'full.v1_x'", 1))
			Expect(l.runWith(vars, "--release-version", "1.0.0").code).To(BeZero())
			Expect(read("GITHUB_OUTPUT")).To(ContainSubstring("digest-full-v1_x=D\n"))
		})
	})

	// tagged are the tags that were written, without those of attachments.
	tagged := func() (tags []string) {
		for _, r := range l.writes() {
			if r.Kind == fixtures.Manifest && !strings.HasPrefix(r.Digest, "sha256") {
				tags = append(tags, r.Digest)
			}
		}
		return tags
	}

	It("sees a version that another run releases meanwhile, although requests are shared", func() {
		index := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
		l.Before(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/v2/builder/blobs/") { // it is verified
				put := must(http.NewRequest(http.MethodPut, "http://"+l.Host+"/v2/builder/manifests/1.0.0-full", strings.NewReader(index)))
				put.Header.Set("Content-Type", "application/vnd.oci.image.index.v1+json")
				l.ServeQuietly(put)
			}
			return false
		})
		r := l.run("--release-version", "1.0.0")
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(MatchRegexp(`^laminate: full: tag HOST/builder:1.0.0-full points to sha256:\S+, not to sha256:\S+; release another version, or use --force; no tag was written\n$`))
		Expect(tagged()).To(BeEmpty())
	})

	It("reads from the registry what it verifies, although requests are shared", func() {
		l.Before(func(w http.ResponseWriter, r *http.Request) bool {
			damaged := r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/v2/builder/blobs/")
			if damaged {
				_, _ = w.Write(make([]byte, 100))
			}
			return damaged
		})
		r := l.run("--release-version", "1.0.0")
		Expect(r.code).To(Equal(1))
		Expect(r.stdout + r.stderr).NotTo(BeEmpty())
		Expect(tagged()).To(BeEmpty())
	})

	It("has notes", func() {
		Expect(l.run("--release-version", "1.0.0").code).To(BeZero())
		l.Component("acme/c@1.0.0")
		l.Write("builder.toml", releaseBuilder+"[[order.group]]\nid = \"acme/c\"\nversion = \"1.0.0\"\n[[buildpacks]]\nuri = \"acme_c@1.0.0\"\n")
		Expect(l.run("--release-version", "1.1.0", "--notes", l.At("notes.md")).code).To(BeZero())
		notes := strings.ReplaceAll(hexDigest.ReplaceAllString(string(must(os.ReadFile(l.At("notes.md")))), "DIGEST"), l.Host, "HOST")
		golden := filepath.Join("testdata", "release-notes.md")
		if os.Getenv("UPDATE_GOLDEN") != "" {
			Expect(os.WriteFile(golden, []byte(notes), 0o644)).To(Succeed())
		}
		Expect(notes).To(Equal(string(must(os.ReadFile(golden)))))
	})

	It("says once, and where, that a config is missing", func() {
		Expect(os.Remove(l.At("builder.toml"))).To(Succeed())
		r := l.run("--release-version", "1.0.0")
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(Equal("laminate: release.toml:3: config builder.toml: no such file\n"))
		l.toml("[[builders.variants]]\nname = 'tiny'\nconfig = 'tiny.toml'\n")
		Expect(l.run("--release-version", "1.0.0").stderr).To(Equal("laminate: release.toml:7: config tiny.toml: no such file\n"))
		Expect(l.Requests(nil)).To(BeEmpty())
	})

	It("advises with the words of release.toml", func() {
		l.toml("max-layers = 4\n")
		r := l.run("--release-version", "1.0.0")
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(And(HavePrefix("laminate: full: too many layers: 5, the limit is 4:\n"), HaveSuffix("With flatten = \"all\" it would have 4, and flatten = \"auto\" keeps to 4.\n")))
		l.toml("")
		l.Write("builder.toml", strings.Replace(releaseBuilder, "[[run.images]]\nimage = \"oci:base\"", "[[run.images]]\nimage = \""+l.Host+"/run\"", 1))
		l.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, "/v2/run/") {
				w.WriteHeader(http.StatusBadRequest)
			}
			return strings.HasPrefix(r.URL.Path, "/v2/run/")
		})
		r = l.run("--release-version", "1.0.0")
		Expect(r.stderr).To(HaveSuffix("; make sure that users can pull it, or skip the check with skip-run-image-check = true\n"))
		l.toml("skip-run-image-check = true\n")
		Expect(l.run("--release-version", "1.0.0").code).To(BeZero())
	})

	It("advises with no flag of other commands", func() {
		flags := regexp.MustCompile(`"[^"\n]*--[a-z][a-z-]+[^"\n]*"`)
		fill := strings.NewReplacer(`--target "`, `--target X"`, `--config "`, `--config X"`, "--media-types %s", "--media-types oci") // where values go
		own := []string{"--config", "--release-version", "--force", "--insecure-registry"}
		for _, dir := range []string{"builder", "packager", "packager/engine", "packager/image", "packager/source", "packager/sink"} {
			files := must(filepath.Glob(filepath.Join(fixtures.Root(), "..", dir, "*.go")))
			for _, file := range files {
				if strings.HasSuffix(file, "_test.go") {
					continue
				}
				for _, message := range flags.FindAllString(string(must(os.ReadFile(file))), -1) {
					for _, flag := range regexp.MustCompile(`--[a-z][a-z-]+`).FindAllString(cli.InRelease(fill.Replace(message)), -1) {
						if !slices.Contains(append(own, elsewhere...), flag) {
							Fail(file + " advises " + flag + ": " + message)
						}
					}
				}
			}
		}
	})
})

// elsewhere are flags of messages that no release has: about archives, and destinations that are no
// registries.
var elsewhere = []string{"--multi-volume", "--sparse", "--append-image-name-suffix", "--publish", "--long"}
