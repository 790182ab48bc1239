package smoke_test

import (
	"context"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke"
	"laminate/packager/config"
	"laminate/packager/progress"
	"laminate/packager/source"
)

// scripted tests an app with a buildpack that is added for it, whose bin/build is a script.
func (l *lab) scripted(ctx context.Context, script, toml string, a smoke.App) (smoke.Result, *smoke.Built) {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	write := func(name, text string, mode os.FileMode) {
		GinkgoHelper()
		Expect(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(dir, name), []byte(text), mode)).To(Succeed())
	}
	write("bp/buildpack.toml", "api = \"0.10\"\n[buildpack]\nid = \"smoke/scripted\"\nversion = \"1\"\n[[targets]]\nos = \"linux\"\n", 0o644)
	write("bp/bin/detect", "#!/bin/sh\n", 0o755)
	write("bp/bin/build", "#!/bin/sh\nset -eu\n"+script, 0o755)
	write("app/file", "x", 0o644)
	if toml != "" {
		write("app/smoke.toml", toml, 0o644)
	}
	work := GinkgoT().TempDir()
	opener := &source.Opener{WorkDir: work, Log: progress.Discard}
	s, err := smoke.Open(ctx, smoke.Options{Builder: l.builder, RunImage: l.run, Opener: opener, WorkDir: work, Buildpacks: []string{filepath.Join(dir, "bp")}})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(s.Close)
	a.Dir = filepath.Join(dir, "app")
	result, built := s.Test(ctx, a)
	DeferCleanup(built.Close)
	return result, built
}

// process is a script that makes a default process.
func process(command string) string {
	return "cat >$CNB_LAYERS_DIR/launch.toml <<E\n[[processes]]\ntype = \"web\"\ncommand = [" + command + "]\ndefault = true\nE\n"
}

var _ = Describe("the default process", Ordered, func() {
	var l *lab
	BeforeAll(func() { l = newLab() })
	const launched, notLaunched = true, false

	DescribeTable("of an app", func(ctx SpecContext, script, toml string, launch bool, want ...any) {
		result, _ := l.scripted(ctx, script, toml, smoke.App{})
		Expect(messages(result)).To(HaveExactElements(want...), "%+v", result)
		Expect(result.Phases[len(result.Phases)-1].Name == "launch").To(Equal(launch))
	},
		Entry("has to be there", "", "", notLaunched, "there is no default process; a smoke.toml beside the app may say that none is expected"),
		Entry("need not be there if there is a smoke.toml", "", "# none\n", notLaunched),
		Entry("has to start", process(`"busybox", "true"`), "", launched),
		Entry("may end as it wants", process(`"busybox", "false"`), "", launched),
		Entry("that does not start", process(`"no-such-program"`), "", launched, "default process did not start: the launcher ended with exit code 82"),
		Entry("that does not start, beside a smoke.toml without launch", process(`"no-such-program"`), "[[logs]]\nline = 'BUILDING'\n", launched, "default process did not start: the launcher ended with exit code 82"),
		Entry("starts, beside a smoke.toml without launch", process(`"busybox", "true"`), "[[logs]]\nline = 'BUILDING'\n", launched),
		Entry("is not the one that may not be it", process(`"busybox", "true"`), "[[processes]]\ntype = \"web\"\ndefault = false\n", launched, "default process is web; expected another one, or none"),
		Entry("of a build that fails as expected", "exit 1", "[build]\nexit-code = 51\n", notLaunched),
	)

	It("is of an app that a symbolic link names", func(ctx SpecContext) {
		dir := GinkgoT().TempDir()
		Expect(os.WriteFile(filepath.Join(dir, "file"), []byte("here"), 0o600)).To(Succeed())
		link := filepath.Join(GinkgoT().TempDir(), "link")
		Expect(os.Symlink(dir, link)).To(Succeed())
		result, built := l.Test(ctx, smoke.App{Dir: link, KeepIn: GinkgoT().TempDir()})
		Expect(built.Close()).To(Succeed())
		Expect(filepath.Join(result.Kept, "workspace/file")).To(BeARegularFile())
	})

	It("is built with the caller's environment before that of the smoke.toml", func(ctx SpecContext) {
		toml := "[[build.env]]\nname = \"X\"\nvalue = \"file\"\n[[build.env]]\nname = \"Y\"\nvalue = \"file\"\n"
		result, _ := l.scripted(ctx, "cd $CNB_PLATFORM_DIR/env; echo X=$(cat X) Y=$(cat Y)", toml, smoke.App{Env: []config.EnvVar{{Name: "X", Value: "caller"}}})
		Expect(result.Status).To(Equal(smoke.Passed), "%+v", result)
		Expect(logOfPhase(result, "build")).To(ContainSubstring("X=caller Y=file\n"))
	})
})
