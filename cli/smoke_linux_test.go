package cli_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke/sandbox"
	"laminate/fixtures"
)

// smokeLab is a directory with the layouts builder, whose lifecycle is the stand-in, and base, its run
// image; the sample apps; and the cache of laminate.
type smokeLab struct{ dir string }

// sharedSmokeLab is a directory with what all of them have, which the first makes.
var sharedSmokeLab string

var _ = AfterSuite(func() {
	Expect(os.RemoveAll(sharedSmokeLab)).To(Succeed())
	if sharedLaminate != "" {
		Expect(os.RemoveAll(filepath.Dir(sharedLaminate))).To(Succeed())
	}
})

// sharedLaminate is the program, in a directory of its own, once a spec has built it.
var sharedLaminate string

// builtLaminate builds the program, which handles signals as these tests do not, for the first that asks.
func builtLaminate() string {
	GinkgoHelper()
	if sharedLaminate == "" {
		dir, err := os.MkdirTemp("", "laminate-")
		Expect(err).NotTo(HaveOccurred())
		out, err := exec.Command("go", "build", "-o", dir, "./laminate").CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
		sharedLaminate = filepath.Join(dir, "laminate")
	}
	return sharedLaminate
}

// newSmokeLab makes one, or skips the spec where there is no static busybox or no sandbox.
func newSmokeLab() smokeLab {
	GinkgoHelper()
	busybox := fixtures.StaticBusybox()
	if busybox == "" {
		Skip("there is no static busybox (the Debian package busybox-static has one)")
	}
	l := smokeLab{GinkgoT().TempDir()}
	if err := sandbox.Check(l.dir); err != nil {
		Skip(err.Error())
	}
	if sharedSmokeLab == "" {
		var err error
		sharedSmokeLab, err = os.MkdirTemp("", "smoke-lab-")
		Expect(err).NotTo(HaveOccurred())
		made := smokeLab{sharedSmokeLab}
		Expect(fixtures.SmokeFiles(made.dir, busybox)).To(Succeed())
		Expect(fixtures.CopyDir(made.at("apps"), "smoke/apps")).To(Succeed())
		r := laminateWith(made.vars(), "builder", "create", "oci:"+made.at("builder"), "--config", made.at("builder.toml"), "--skip-run-image-check", "--quiet")
		Expect(r.code).To(BeZero(), r.stderr)
	}
	Expect(os.CopyFS(l.dir, os.DirFS(sharedSmokeLab))).To(Succeed())
	return l
}

func (l smokeLab) at(name string) string { return filepath.Join(l.dir, name) }

func (l smokeLab) vars() map[string]string {
	return map[string]string{"LAMINATE_CACHE_DIR": l.at("cache")}
}

// args are the arguments of a run with apps.
func (l smokeLab) args(apps []string, more ...string) []string {
	args := []string{"builder", "smoke", "oci:" + l.at("builder"), "--run-image", "oci:" + l.at("base"), "--quiet"}
	for _, app := range apps {
		args = append(args, "--app", l.at("apps/"+app))
	}
	return append(args, more...)
}

// smokeReport is what --output json prints.
type smokeReport struct {
	Apps []struct {
		App, Status, Error, Kept, Image string
		Phases                          []struct {
			Name, Log string
			LogFile   string `json:"log_file"`
		}
		Failures []struct{ Message string }
	}
}

// report runs with --output json.
func (l smokeLab) report(apps []string, more ...string) (smokeReport, result) {
	GinkgoHelper()
	r := laminateWith(l.vars(), append(l.args(apps, more...), "--output", "json")...)
	var report smokeReport
	if r.stdout != "" {
		Expect(json.Unmarshal([]byte(r.stdout), &report)).To(Succeed(), r.stdout)
	}
	return report, r
}

var _ = Describe("builder smoke, with the stand-in for the lifecycle", Ordered, func() {
	var l smokeLab
	BeforeAll(func() { l = newSmokeLab() })

	It("tests several apps at the same time, and reports them in their order", func() {
		apps := []string{"noisy", "fails", "hello", "wrong", "hello"}
		report, r := l.report(apps, "--jobs", "3")
		Expect(r.code).To(Equal(1))
		var have []string
		for _, a := range report.Apps {
			have = append(have, filepath.Base(a.App)+" "+a.Status)
		}
		Expect(have).To(Equal([]string{"noisy passed", "fails passed", "hello passed", "wrong failed", "hello passed"}))
	})

	It("keeps the whole logs of apps that do not pass, and names them", func() {
		Expect(os.WriteFile(l.at("apps/noisy/smoke.toml"), []byte("[[logs]]\nline = 'no such line'\n"), 0o600)).To(Succeed())
		DeferCleanup(os.Remove, l.at("apps/noisy/smoke.toml"))
		logs := GinkgoT().TempDir()
		report, _ := l.report([]string{"noisy", "hello"}, "--logs", logs)
		build := report.Apps[0].Phases[0]
		Expect(build.LogFile).To(Equal(filepath.Join(logs, "noisy", "build.log")))
		whole, err := os.ReadFile(build.LogFile)
		Expect(err).NotTo(HaveOccurred())
		Expect(len(whole)).To(BeNumerically(">", len(build.Log)))
		Expect(whole).To(HaveSuffix(build.Log[len(build.Log)-1000:]))
		Expect(report.Apps[1].Phases[0].LogFile).To(BeEmpty())
		Expect(filepath.Join(logs, "hello")).NotTo(BeAnExistingFile())
		text := laminateWith(l.vars(), l.args([]string{"noisy"}, "--logs", logs)...)
		Expect(text.stdout).To(ContainSubstring("build: the whole log is in " + build.LogFile + "\n"))
	})

	It("keeps the logs of the last runs in the cache, by default, until that is cleaned", func() {
		all := l.at("cache/smoke-logs")
		Expect(os.RemoveAll(all)).To(Succeed())
		for i := range 22 {
			Expect(os.MkdirAll(filepath.Join(all, "20200101T0000"+string(rune('a'+i))), 0o700)).To(Succeed())
		}
		report, _ := l.report([]string{"wrong"})
		log := report.Apps[0].Phases[0].LogFile
		Expect(log).To(HavePrefix(all + "/"))
		Expect(log).To(BeARegularFile())
		left, err := os.ReadDir(all)
		Expect(err).NotTo(HaveOccurred())
		Expect(left).To(HaveLen(20))
		Expect(left[0].Name()).To(HaveSuffix("0000d"), "the oldest are removed")
		Expect(laminateWith(l.vars(), "cache", "clean").code).To(BeZero())
		Expect(all).NotTo(BeAnExistingFile())
	})

	It("leaves what a build had, if asked to, and the next run does not remove that", func() {
		temp := GinkgoT().TempDir()
		vars := map[string]string{"LAMINATE_CACHE_DIR": l.at("cache"), "TMPDIR": temp}
		r := laminateIn(vars, l.args([]string{"hello"}, "--keep")...)
		Expect(r.code).To(BeZero(), r.stderr+r.stdout)
		_, kept, found := strings.Cut(r.stdout, "kept in ")
		Expect(found).To(BeTrue(), r.stdout)
		kept = strings.SplitN(kept, "\n", 2)[0]
		for _, name := range []string{"workspace/name.txt", "layers/group.toml", "layers/smoke_good/hello/bin/hello", "layout/index.docker.io/laminate/app/latest/index.json", "platform/env", "cache", "build.log", "launch/launch.log"} {
			Expect(filepath.Join(kept, name)).To(BeAnExistingFile())
		}
		_, root, found := strings.Cut(r.stdout, "root file system is in ")
		Expect(found).To(BeTrue(), r.stdout)
		Expect(filepath.Join(strings.TrimSuffix(root, "\n"), "cnb/lifecycle/creator")).To(BeARegularFile())
		Expect(laminateIn(vars, l.args([]string{"hello"})...).code).To(BeZero())
		Expect(laminateIn(vars, "cache", "clean").code).To(BeZero())
		Expect(filepath.Join(kept, "build.log")).To(BeARegularFile())
		left, err := os.ReadDir(temp)
		Expect(err).NotTo(HaveOccurred())
		Expect(left).To(HaveLen(1), "%v", left)
	})

	It("writes the app image to a layout, again and again, and reuses its layers if it is named", func() {
		out := filepath.Join(GinkgoT().TempDir(), "image")
		var digests []string
		for _, previous := range []string{"", "", "oci:" + out, "oci:" + out} {
			flags := []string{"--output-layout", out}
			if previous != "" {
				flags = append(flags, "--previous", previous)
			}
			report, r := l.report([]string{"reuses"}, flags...)
			Expect(r.code).To(BeZero(), r.stderr+r.stdout)
			reused := ContainSubstring("Reusing layer 'smoke/reuses:data'")
			if previous == "" {
				reused = Not(reused)
			}
			Expect(report.Apps[0].Phases[0].Log).To(reused)
			v := laminate("verify", "oci:"+out)
			Expect(v.code).To(BeZero(), v.stdout+v.stderr)
			digests = append(digests, report.Apps[0].Image)
		}
		Expect(slices.Compact(digests)).To(HaveLen(1), "all are the same image")
		text := laminateWith(l.vars(), l.args([]string{"reuses"}, "--output-layout", "oci:"+out+":v1")...)
		Expect(text.stdout).To(ContainSubstring("\n   " + digests[0] + " is in oci:" + out + ":v1\n"))
		v := laminate("verify", "oci:"+out+":v1")
		Expect(v.code).To(BeZero(), v.stdout+v.stderr)
	})

	It("keeps the build cache in a directory beside the current one", func() {
		GinkgoT().Chdir(GinkgoT().TempDir())
		Expect(os.Mkdir("here", 0o755)).To(Succeed())
		GinkgoT().Chdir("here")
		for _, line := range []string{"making data", "reusing data"} {
			report, r := l.report([]string{"cached"}, "--cache", "../cache")
			Expect(r.code).To(BeZero(), r.stdout+r.stderr)
			Expect(report.Apps[0].Phases[0].Log).To(ContainSubstring(line))
		}
		Expect("../cache").To(BeADirectory())
	})

	It("refuses a builder without layers", func() {
		bare, err := mutate.Config(empty.Image, v1.Config{Env: []string{"CNB_USER_ID=1000", "CNB_GROUP_ID=1000"}, Labels: map[string]string{
			"io.buildpacks.buildpack.order":  `[{"group":[{"id":"a/b","version":"1"}]}]`,
			"io.buildpacks.builder.metadata": `{"stack":{"runImage":{"image":"acme/run"}},"lifecycle":{"version":"0.21.0","apis":{"platform":{"supported":["0.15"]}}}}`,
		}})
		Expect(err).NotTo(HaveOccurred())
		dir := filepath.Join(GinkgoT().TempDir(), "none")
		to, err := layout.Write(dir, empty.Index)
		Expect(err).NotTo(HaveOccurred())
		Expect(to.AppendImage(bare)).To(Succeed())
		r := laminateWith(l.vars(), "builder", "smoke", "oci:"+dir, "--run-image", "oci:"+l.at("base"), "--app", l.at("apps/hello"), "--quiet", "--target", "linux/amd64")
		Expect(r.code).To(Equal(1))
		Expect(r.stdout+r.stderr).To(MatchRegexp(`sandbox: executing /cnb/lifecycle/creator|no such file|no layers`), r.stdout+r.stderr)
	})

	It("builds twice, and says what became of each layer", func() {
		r := laminateWith(l.vars(), l.args([]string{"bundles", "reuses"}, "--twice")...)
		Expect(r.code).To(BeZero(), r.stderr)
		Expect(r.stdout).To(And(
			MatchRegexp(`(?m)^   layer "all" of smoke/bundles  2\.1 MB  built again, the same$`),
			MatchRegexp(`(?m)^   layer "data" of smoke/reuses  1\.0 MB  reused$`),
			ContainSubstring("   warning: layer \"all\" of smoke/bundles was built again with the same bytes: 2.1 MB written\n"),
			Not(ContainSubstring("launcher")),
		))
	})

	It("refuses flags that make no sense", func() {
		r := laminate("builder", "smoke", "oci:builder", "--app", "a", "--app", "b", "--previous", "oci:x", "--cache", "c", "--jobs", "0")
		Expect(r.code).To(Equal(2))
		Expect(r.stderr).To(And(
			ContainSubstring("--previous is for one app; test the apps one by one"),
			ContainSubstring("--cache is for one app; test the apps one by one"),
			ContainSubstring("--jobs is the number of apps at the same time, at least 1"),
		))
	})
})
