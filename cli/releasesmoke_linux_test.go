package cli_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/cli"
	"laminate/fixtures"
	"laminate/fixtures/workbench"
)

var _ = Describe("release, with the stand-in for the lifecycle", Ordered, func() {
	var l smokeLab
	var reg *fixtures.Traffic
	BeforeAll(func() { l = newSmokeLab() })
	BeforeEach(func() { reg = fixtures.CountedRegistry(GinkgoT()) })

	// args writes a release.toml with apps, and returns the arguments of the command.
	args := func(apps ...string) []string {
		GinkgoHelper()
		toml := "[[builders]]\nname = 'full'\nconfig = 'builder.toml'\nrepositories = ['" + reg.Host + "/builder']\nskip-run-image-check = true\n"
		for _, app := range apps {
			toml += "[[builders.smoke]]\nrun-image = 'oci:base'\n" + app + "\n"
		}
		Expect(os.WriteFile(l.at("release.toml"), []byte(toml), 0o600)).To(Succeed())
		return []string{"release", "--config", l.at("release.toml"), "--release-version", "1.0.0", "--quiet"}
	}
	tagged := func() []fixtures.Request {
		return reg.Requests(func(r fixtures.Request) bool {
			return r.Kind == fixtures.Manifest && r.Method == http.MethodPut && !strings.HasPrefix(r.Digest, "sha256")
		})
	}

	It("tags what builds the apps", func() {
		r := laminateWith(l.vars(), args("app = 'apps/hello'", "app = 'apps/noisy'\ntimeout = '5m'")...)
		Expect(r.code).To(BeZero(), r.stderr+r.stdout)
		Expect(tagged()).To(HaveLen(2))
		Expect(r.stdout).To(HaveSuffix("\tdocker://" + reg.Host + "/builder:full\n"))
	})

	It("tags nothing if an app is not built as expected, and says why", func() {
		a := args("app = 'apps/hello'", "app = 'apps/wrong'")
		r := laminateWith(l.vars(), a...)
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(Equal("laminate: full: app apps/wrong failed; no tag was written\n"))
		Expect(r.stdout).To(And(ContainSubstring("apps/hello"), ContainSubstring("apps/wrong"), ContainSubstring("smoke.toml:")))
		Expect(tagged()).To(BeEmpty())
		r = laminateWith(l.vars(), append(a, "--output", "json")...)
		workbench.ExpectValid("release.schema.json", []byte(r.stdout))
		Expect(r.stdout).To(ContainSubstring(`"status": "failed"`))
	})

	It("tags nothing if an app cannot be tested", func() {
		r := laminateWith(l.vars(), args("app = 'apps/missing'")...)
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(MatchRegexp(`^laminate: \S*release.toml:[0-9]+: app apps/missing: no such directory\n$`))
		Expect(reg.Requests(nil)).To(BeEmpty())
	})

	It("tags nothing if an app takes too long", func() {
		r := laminateWith(l.vars(), args("app = 'apps/endless'\ntimeout = '1s'")...)
		Expect(r.code).To(Equal(1))
		Expect(r.stdout).To(ContainSubstring("took longer than 1s"))
		Expect(tagged()).To(BeEmpty())
	})

	It("tags nothing if it is interrupted during a build, and says so", func() {
		a := args("app = 'apps/endless'")
		tmp := GinkgoT().TempDir()
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			defer GinkgoRecover()
			defer cancel()
			Eventually(func() bool { return logged(tmp, "---> Endless Buildpack") }).WithTimeout(time.Minute).Should(BeTrue())
		}()
		var stdout, stderr bytes.Buffer
		code := cli.Run(ctx, append([]string{"laminate"}, a...), &stdout, &stderr, func(name string) string {
			if name == "TMPDIR" {
				return tmp
			}
			return l.vars()[name]
		})
		Expect(code).To(Equal(1))
		Expect(stderr.String()).To(Equal("laminate: interrupted; no tag was written; run it again to go on\n"))
		Expect(stdout.String()).To(BeEmpty())
		Expect(tagged()).To(BeEmpty())
		Expect(os.ReadDir(tmp)).To(BeEmpty())
	})
})

// logged reports whether a build.log below dir has a line.
func logged(dir, line string) bool {
	found := false
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == "build.log" {
			data, _ := os.ReadFile(path)
			found = found || bytes.Contains(data, []byte(line))
		}
		return nil // what a run removes meanwhile has no log
	})
	return found
}
