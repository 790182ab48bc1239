package cli_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/cli"
)

// laminateIn runs the program with an environment.
func laminateIn(vars map[string]string, args ...string) result {
	GinkgoHelper()
	var stdout, stderr bytes.Buffer
	env := func(name string) string {
		if name == "TMPDIR" && vars[name] == "" {
			return os.TempDir()
		}
		return vars[name]
	}
	code := cli.Run(context.Background(), append([]string{"laminate"}, args...), &stdout, &stderr, env)
	return result{code, stdout.String(), stderr.String()}
}

// download is a web server with one file, and how often it sent all of it.
func download(file string) (url string, sent *atomic.Int32) {
	GinkgoHelper()
	data, err := os.ReadFile(file)
	Expect(err).NotTo(HaveOccurred())
	sent = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"one"`)
		if r.Header.Get("If-None-Match") == `"one"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		sent.Add(1)
		_, _ = w.Write(data)
	}))
	DeferCleanup(server.Close)
	return server.URL + "/" + filepath.Base(file), sent
}

var _ = Describe("the cache", func() {
	var dir string
	var vars map[string]string
	BeforeEach(func() {
		dir = filepath.Join(GinkgoT().TempDir(), "cache")
		vars = map[string]string{"LAMINATE_CACHE_DIR": dir}
	})

	It("is what a dry run says that layers come from", func() {
		enterPackages("offline")
		Expect(laminateIn(vars, "package", "out.cnb", "-q").code).To(BeZero())
		plan := laminateIn(vars, "package", "out.cnb", "--dry-run", "--output", "json")
		Expect(plan.code).To(BeZero(), plan.stderr)
		Expect(plan.stdout).To(ContainSubstring(`"origin": "cache"`))
		Expect(plan.stdout).NotTo(ContainSubstring(`"origin": "build"`))
	})

	It("is filled and used, told about and emptied", func() {
		enterPackages("offline")
		Expect(laminate("package", "in.cnb", "-q").code).To(BeZero())
		url, sent := download("in.cnb")
		Expect(laminateIn(vars, "cache", "info").stdout).To(Equal(dir + ": nothing is kept there yet\n"))
		Expect(laminateIn(vars, "cache", "clean").stdout).To(Equal(dir + ": nothing is kept there yet\n"))
		Expect(dir).NotTo(BeADirectory())

		want := digest(laminateIn(vars, "package", "out.cnb", "--path", url, "--no-cache"))
		Expect(dir).NotTo(BeADirectory())
		for i := range 3 {
			r := laminateIn(vars, "package", "out.cnb", "--path", url)
			Expect(digest(r)).To(Equal(want))
			Expect(sent.Load()).To(BeEquivalentTo(2))
			Expect(strings.Contains(r.stderr, "reused      "+url)).To(Equal(i > 0), r.stderr)
		}
		Expect(digest(laminateIn(vars, "package", "out.cnb", "--path", url, "--no-cache"))).To(Equal(want))
		Expect(sent.Load()).To(BeEquivalentTo(3))

		info := laminateIn(vars, "cache", "info")
		Expect(info.code).To(BeZero(), info.stderr)
		Expect(info.stdout).To(MatchRegexp(`^\Q` + dir + `\E: \d+\.\d kB of at most 10\.00 GB\n  1  \d+\.\d kB  files from web servers\n$`))
		clean := laminateIn(vars, "cache", "clean")
		Expect(clean.code).To(BeZero(), clean.stderr)
		Expect(clean.stdout).To(MatchRegexp(`^\Q` + dir + `\E: removed \d+\.\d kB\n$`))
		Expect(laminateIn(vars, "cache", "info").stdout).To(Equal(dir + ": 0 B of at most 10.00 GB\n"))
		Expect(digest(laminateIn(vars, "package", "out.cnb", "--path", url))).To(Equal(want))
		Expect(sent.Load()).To(BeEquivalentTo(4))
	})

	It("is used for builders too, unless somebody does not want it", func() {
		enterBuilder()
		url, sent := download("lifecycle.tgz")
		create := func(more ...string) string {
			return digest(laminateIn(vars, append([]string{"builder", "create", "oci:out", "-c", "builder.toml", "--lifecycle", url, "-t", "linux/amd64", "--skip-run-image-check", "--previous", "none"}, more...)...))
		}
		want := create("--no-cache")
		Expect(dir).NotTo(BeADirectory())
		Expect(create()).To(Equal(want))
		Expect(create()).To(Equal(want))
		Expect(sent.Load()).To(BeEquivalentTo(2))
	})

	DescribeTable("is done without where it cannot be used, with one warning",
		func(at, why string, spoil func()) {
			enterPackages("offline")
			Expect(laminate("package", "in.cnb", "-q").code).To(BeZero())
			url, _ := download("in.cnb")
			want := digest(laminateIn(vars, "package", "out.cnb", "--path", url))
			spoil()
			r := laminateIn(vars, "package", "out.cnb", "--path", url)
			Expect(digest(r)).To(Equal(want))
			Expect(strings.Count(r.stderr, "warning: ")).To(Equal(1), r.stderr)
			Expect(r.stderr).To(ContainSubstring("warning: the cache cannot be used, so what was made or fetched is not kept: " + filepath.Join(dir, at) + ": " + why + "\n"))
		},
		Entry("a file", "", "not a directory", func() {
			Expect(os.RemoveAll(dir)).To(Succeed())
			Expect(os.WriteFile(dir, nil, 0o600)).To(Succeed())
		}),
		Entry("a file within", "v1", "not a directory", func() {
			Expect(os.RemoveAll(filepath.Join(dir, "v1/entries"))).To(Succeed())
			Expect(os.WriteFile(filepath.Join(dir, "v1/entries"), nil, 0o600)).To(Succeed())
		}),
		Entry("open to everybody", "v1", "writable by all users; set LAMINATE_CACHE_DIR to a directory that only you can write to", func() {
			Expect(os.Chmod(filepath.Join(dir, "v1"), 0o777)).To(Succeed())
		}),
		Entry("in the home of another user", "", "owned by another user; set LAMINATE_CACHE_DIR to a directory that only you can write to", func() {
			if os.Geteuid() != 0 {
				Skip("only root can give the directory to another user")
			}
			Expect(os.Chown(dir, 1000, 1000)).To(Succeed())
		}),
	)

	It("is where the environment says", func() {
		home, xdg := GinkgoT().TempDir(), GinkgoT().TempDir()
		for _, c := range []struct{ want, own, xdg string }{
			{dir, dir, xdg},
			{xdg + "/laminate", "", xdg},
			{home + "/.cache/laminate", "", "not/absolute"},
			{home + "/.cache/laminate", "", ""},
		} {
			vars := map[string]string{"LAMINATE_CACHE_DIR": c.own, "XDG_CACHE_HOME": c.xdg, "HOME": home}
			Expect(laminateIn(vars, "cache", "info").stdout).To(Equal(c.want + ": nothing is kept there yet\n"))
		}
		none := laminateIn(nil, "cache", "info")
		Expect(none.code).To(Equal(1))
		Expect(none.stderr).To(Equal("laminate: no cache: neither LAMINATE_CACHE_DIR nor HOME is set; set one of them\n"))
		broken := filepath.Join(home, "file")
		Expect(os.WriteFile(broken, nil, 0o600)).To(Succeed())
		r := laminateIn(map[string]string{"LAMINATE_CACHE_DIR": broken}, "cache", "clean")
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(Equal("laminate: cache: " + broken + ": not a directory\n"))
		Expect(broken).To(BeAnExistingFile())
	})

	It("takes no arguments", func() {
		r := laminateIn(vars, "cache", "clean", "all")
		Expect(r).To(Equal(result{code: 2, stderr: "laminate: unexpected argument \"all\"\nSee: laminate cache clean --help\n"}))
		Expect(laminateIn(vars, "cache", "cleen").stderr).To(ContainSubstring("did you mean clean?"))
		Expect(laminateIn(vars, "cache", "--help").stdout).To(ContainSubstring("LAMINATE_CACHE_DIR"))
	})
})
