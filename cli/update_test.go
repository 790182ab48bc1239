package cli_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/fixtures/workbench"
)

// publishComponent packages a version of acme/id, and returns the digest.
func publishComponent(repo, id, version string) string {
	GinkgoHelper()
	dir := filepath.Join(GinkgoT().TempDir(), "bp")
	Expect(os.MkdirAll(filepath.Join(dir, "bin"), 0o755)).To(Succeed())
	for name, text := range map[string]string{
		"buildpack.toml": "api = '0.10'\n[buildpack]\nid = 'acme/" + id + "'\nversion = '" + version + "'\nhomepage = 'https://github.com/acme/" + id + "'\n",
		"bin/build":      version, "bin/detect": version,
	} {
		Expect(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755)).To(Succeed())
	}
	r := laminate("package", "docker://"+repo+"/"+id+":"+version, "--path", dir, "-q")
	Expect(r.code).To(BeZero(), r.stderr)
	return strings.Fields(r.stdout)[0]
}

// enterUpdated publishes versions of two buildpacks, and of a composite's
// components, and makes a directory with a builder.toml that names the old ones
// the working directory, until the spec ends.
func enterUpdated(p *player) {
	GinkgoHelper()
	enterDir(GinkgoT().TempDir())
	repo := p.host + "/acme"
	for id, versions := range map[string][]string{"node": {"1.0.0", "1.1.0", "2.0.0"}, "npm": {"1.4.0", "1.5.0"}, "yarn": {"1.0.0"}, "build": {"0.1.7-jammy", "0.1.8-jammy", "0.2.0-noble"}} {
		for _, v := range versions {
			publishComponent(repo, id, v)
		}
	}
	digest := publishComponent(repo, "go", "4.19.0")
	publishComponent(repo, "go", "4.19.1")
	put("builder.toml", `# The builder of ACME. Ask the Node.js team about version 2.
[[buildpacks]]
  uri = "docker://`+repo+`/node:1.0.0" # laminate: ^1

[[buildpacks]]
  uri = "docker://`+repo+`/go@`+digest+`" # 4.19.0

[[order]]
group = [{ id = "acme/node", version = "1.0.0" }]

[[order]]
group = [{ id = 'acme/go', version = '4.19.0' }]

[build]
  image = "`+repo+`/build:0.1.7-jammy"

[[run.images]]
  image = "`+repo+`/run:latest"
`)
	put("node/package.toml", `[buildpack]
uri = "."

[[dependencies]]
uri = "docker://`+repo+`/npm:1.4.0"

[[dependencies]]
uri = "docker://`+repo+`/yarn:1.0.0"
`)
	put("node/buildpack.toml", `api = "0.10"

[buildpack]
id = "acme/node"
version = "1.0.0"

[[order]]

[[order.group]]
id = "acme/npm"
version = "1.4.0"

[[order.group]]
id = "acme/yarn"
version = "1.0.0"
`)
}

var _ = Describe("update", func() {
	var registry *fixtures.Traffic
	var repo string

	publish := func(id string, versions ...string) {
		GinkgoHelper()
		for _, v := range versions {
			publishComponent(repo, id, v)
		}
	}

	BeforeEach(func() {
		GinkgoT().Chdir(GinkgoT().TempDir())
		registry = fixtures.CountedRegistry(GinkgoT())
		repo = registry.Host + "/acme"
		publish("a", "1.0.0", "1.1.0", "2.0.0")
		publish("b", "1.0.0", "1.0.1")
		put("builder.toml", "# ours\n[[buildpacks]]\nuri = 'docker://"+repo+"/a:1.0.0' # laminate: ^1\n[[buildpacks]]\nuri = '"+repo+"/b:1.0.0'\n"+
			"[[buildpacks]]\nuri = 'c.tgz'\n[[order]]\ngroup = [{id = 'acme/a', version = '1.0.0'}, {id = 'acme/b', version = '1.0.0'}]\n[mine]\nx = 1.0\n")
		registry.Reset()
	})

	want := func(before string) string {
		return strings.NewReplacer("/a:1.0.0", "/a:1.1.0", "/b:1.0.0", "/b:1.0.1", "'acme/a', version = '1.0.0'", "'acme/a', version = '1.1.0'",
			"'acme/b', version = '1.0.0'", "'acme/b', version = '1.0.1'").Replace(before)
	}
	read := func(path string) string {
		GinkgoHelper()
		text, err := os.ReadFile(path)
		Expect(err).NotTo(HaveOccurred())
		return string(text)
	}

	It("updates the file, and prints what changed", func() {
		before := read("builder.toml")
		Expect(os.Chmod("builder.toml", 0o640)).To(Succeed())
		r := laminate("update", "builder.toml")
		Expect(r).To(Equal(result{0, strings.ReplaceAll(`builder.toml:3  REPO/a  1.0.0 -> 1.1.0, not 2.0.0: limited by ^1  https://github.com/acme/a/releases?q=1.1.0
builder.toml:5  REPO/b  1.0.0 -> 1.0.1  https://github.com/acme/b/releases?q=1.0.1
builder.toml:9  acme/a                  1.0.0 -> 1.1.0, with REPO/a:1.1.0
builder.toml:9  acme/b                  1.0.0 -> 1.0.1, with REPO/b:1.0.1
`, "REPO", repo), "builder.toml: 4 values updated\n"}))
		Expect(read("builder.toml")).To(Equal(want(before)))
		info, err := os.Stat("builder.toml")
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(BeEquivalentTo(0o640))
		Expect(filepath.Glob("*")).To(Equal([]string{"builder.toml"}))

		Expect(laminate("update", "builder.toml", "--check")).To(Equal(result{0, "builder.toml:3  " + repo + "/a  1.1.0 stays, 2.0.0 is newer: limited by ^1\n", "builder.toml: up to date\n"}))
		all := laminate("builder", "update", "--verbose", "builder.toml", "-q")
		Expect(all.stdout).To(ContainSubstring("builder.toml:5  " + repo + "/b  1.0.1 is the newest\n"))
		Expect(all.stdout).To(ContainSubstring("builder.toml:7  c.tgz                   stays: a local path\n"))
	})

	It("checks, writes nothing and exits with 3", func() {
		before := read("builder.toml")
		r := laminate("update", "--check", "builder.toml", "--only=patch")
		Expect(r.code).To(Equal(3))
		Expect(r.stderr).To(Equal("builder.toml: 2 values out of date; nothing was written\n"))
		Expect(r.stdout).To(HavePrefix("builder.toml:3  " + repo + "/a  1.0.0 stays, 2.0.0 is newer: limited by ^1\n"))
		Expect(read("builder.toml")).To(Equal(before))
	})

	It("prints JSON as its schema says", func() {
		r := laminate("update", "--check", "builder.toml", "--output", "json")
		Expect(r.code).To(Equal(3))
		workbench.ExpectValid("update.schema.json", []byte(r.stdout))
		var report struct {
			Changes int
			Written []string
			Items   []map[string]any
		}
		Expect(json.Unmarshal([]byte(r.stdout), &report)).To(Succeed())
		Expect(report.Changes).To(Equal(4))
		Expect(report.Written).To(BeEmpty())
		Expect(report.Items).To(HaveLen(5))
		Expect(report.Items[1]).To(Equal(map[string]any{
			"file": "builder.toml", "line": 5.0, "key": "buildpacks.uri", "name": repo + "/b", "status": "update", "from": "1.0.0", "to": "1.0.1",
			"links": map[string]any{"url": "https://github.com/acme/b", "releases": "https://github.com/acme/b/releases?q=1.0.1"},
		}))
		r = laminate("update", "builder.toml", "--output", "json", "-q")
		workbench.ExpectValid("update.schema.json", []byte(r.stdout))
		Expect(r.stdout).To(ContainSubstring(`"written": [
    "builder.toml"
  ]`))
		r = laminate("update", "builder.toml", "--output", "json", "-q")
		workbench.ExpectValid("update.schema.json", []byte(r.stdout))
		Expect(r.stdout).To(ContainSubstring(`"written": [],`))
	})

	It("prints Markdown", func() {
		r := laminate("update", "builder.toml", "--output=markdown", "--only", "minor", "-q")
		Expect(r).To(Equal(result{0, strings.ReplaceAll(`| Name | From | To | Link | Note | Place |
| --- | --- | --- | --- | --- | --- |
| REPO/a | 1.0.0 | 1.1.0 | https://github.com/acme/a/releases?q=1.1.0 | not 2.0.0: limited by ^1 | builder.toml:3 |
| REPO/b | 1.0.0 | 1.0.1 | https://github.com/acme/b/releases?q=1.0.1 |  | builder.toml:5 |
| acme/a | 1.0.0 | 1.1.0 |  | with REPO/a:1.1.0 | builder.toml:9 |
| acme/b | 1.0.0 | 1.0.1 |  | with REPO/b:1.0.1 | builder.toml:9 |
`, "REPO", repo), ""}))
		r = laminate("update", "builder.toml", "--output=markdown", "-q")
		Expect(r.stdout).To(Equal("Everything is up to date.\n\nStays as it is:\n\n| Name | Version | Newest | Reason | Place |\n| --- | --- | --- | --- | --- |\n| " + repo + "/a | 1.1.0 | 2.0.0 | limited by ^1 | builder.toml:3 |\n"))
	})

	It("keeps a symbolic link, and what it leads to is updated", func() {
		before := read("builder.toml")
		Expect(os.Mkdir("real", 0o755)).To(Succeed())
		Expect(os.Rename("builder.toml", "real/b.toml")).To(Succeed())
		Expect(os.Symlink("real/b.toml", "builder.toml")).To(Succeed())
		Expect(laminate("update", "builder.toml").code).To(BeZero())
		Expect(read("real/b.toml")).To(Equal(want(before)))
		Expect(os.Readlink("builder.toml")).To(Equal("real/b.toml"))
	})

	It("writes nothing when a registry fails, and tells where", func() {
		before := read("builder.toml")
		registry.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/acme/b/tags/list") {
				w.WriteHeader(http.StatusForbidden)
				return true
			}
			return false
		})
		r := laminate("update", "builder.toml")
		Expect(r.code).To(Equal(1))
		Expect(r.stdout).To(BeEmpty())
		Expect(r.stderr).To(Equal("laminate: builder.toml:5: buildpacks.uri: " + repo + "/b: registry " + registry.Host + ": 403 Forbidden; log in with `docker login " + registry.Host + "`, or ask for access\n"))
		Expect(read("builder.toml")).To(Equal(before))
	})

	It("writes nothing into a file that was changed meanwhile", func() {
		registry.Before(func(http.ResponseWriter, *http.Request) bool {
			Expect(os.WriteFile("builder.toml", []byte("# other\n"), 0o644)).To(Succeed())
			return false
		})
		r := laminate("update", "builder.toml")
		Expect(r).To(Equal(result{1, "", "laminate: builder.toml has changed meanwhile, and was not written; run the command again\n"}))
		Expect(read("builder.toml")).To(Equal("# other\n"))
		Expect(filepath.Glob("*")).To(Equal([]string{"builder.toml"}))
	})

	It("tells what is pinned only when asked", func() {
		put("builder.toml", "[[buildpacks]]\nuri = '"+repo+"/a:1.0.0' # laminate: pin\n")
		Expect(laminate("update", "builder.toml")).To(Equal(result{0, "", "builder.toml: up to date\n"}))
		Expect(laminate("update", "builder.toml", "-v").stdout).To(Equal("builder.toml:2  " + repo + "/a  1.0.0 stays: pinned\n"))
	})

	It("updates the lifecycle from the tags of a repository", func() {
		publish("lifecycle", "0.20.0", "0.21.0")
		put("builder.toml", "[lifecycle]\nversion = '0.20.0'\n")
		Expect(laminate("update", "builder.toml", "--lifecycle-image", repo+"/lifecycle", "-q").code).To(BeZero())
		Expect(read("builder.toml")).To(Equal("[lifecycle]\nversion = '0.21.0'\n"))
	})

	It("makes a builder.toml from which a builder can be created", func() {
		enterBuilder()
		publish("a", "3.0.0", "3.1.0")
		put("builder.toml", strings.Replace(read("builder.toml"), "[[order]]", "[[buildpacks]]\nuri = 'docker://"+repo+"/a:3.0.0'\nversion = '3.0.0'\n[[order]]\n[[order.group]]\nid = 'acme/a'\nversion = '3.0.0'\n[[order]]", 1))
		Expect(laminate("update", "builder.toml", "-q").code).To(BeZero())
		Expect(create("oci:out", "-q").code).To(BeZero())
		Expect(laminate("inspect", "oci:out").stdout).To(ContainSubstring("acme/a@3.1.0"))
	})

	DescribeTable("tells mistakes", func(code int, message string, args ...string) {
		put("dir/x", "")
		r := laminate(append([]string{"update"}, args...)...)
		Expect(r.code).To(Equal(code))
		Expect(r.stderr).To(HavePrefix("laminate: " + message + "\n"))
		Expect(r.stdout).To(BeEmpty())
	},
		Entry(nil, 2, "FILE is missing; name a builder.toml or a package.toml"),
		Entry(nil, 2, "FILE is empty; name a builder.toml or a package.toml", ""),
		Entry(nil, 2, "2 arguments; write one FILE, a builder.toml or a package.toml", "a", "b"),
		Entry(nil, 1, "none.toml: no such file; name a builder.toml or a package.toml", "none.toml"),
		Entry(nil, 1, "dir: it is a directory; name the builder.toml or package.toml in it", "dir"),
		Entry(nil, 2, `--only: invalid value "minr"; write patch, minor or major`, "x", "--only", "minr"),
		Entry(nil, 2, `--only has an empty value`, "x", "--only="),
		Entry(nil, 2, `invalid value "yaml" for --output; write json, markdown or text`, "x", "--output", "yaml"),
		Entry(nil, 2, `--jobs needs a number from 1 to 64`, "x", "--jobs", "0"),
		Entry(nil, 2, `invalid --lifecycle-image "a/b:1"; write a repository of a registry without a tag, as in docker.io/buildpacksio/lifecycle`, "x", "--lifecycle-image", "a/b:1"),
		Entry(nil, 2, `invalid --insecure-registry "a/b"; write HOST or HOST:PORT`, "x", "--insecure-registry", "a/b"),
	)
})
