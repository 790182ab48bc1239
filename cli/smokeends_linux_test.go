package cli_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"laminate/fixtures/workbench"
)

var _ = Describe("builder smoke, interrupted after some apps", Ordered, func() {
	var l smokeLab
	var program string
	BeforeAll(func() {
		l = newSmokeLab()
		program = builtLaminate()
	})

	// interrupt runs the apps hello, endless and noisy, and interrupts the second one.
	interrupt := func(temp string, flags ...string) (stdout, stderr *gbytes.Buffer) {
		GinkgoHelper()
		cmd := exec.Command(program, l.args([]string{"hello", "endless", "noisy"}, append(flags, "--verbose")...)...)
		cmd.Env = append(os.Environ(), "TMPDIR="+temp, "LAMINATE_CACHE_DIR="+l.at("cache"))
		stdout, stderr = gbytes.NewBuffer(), gbytes.NewBuffer()
		cmd.Stdout, cmd.Stderr = stdout, stderr
		Expect(cmd.Start()).To(Succeed())
		DeferCleanup(func() { _ = cmd.Process.Kill() })
		Eventually(stderr, time.Minute).Should(gbytes.Say("Endless Buildpack"))
		if len(flags) == 0 {
			Eventually(stdout).Should(gbytes.Say(`hello: passed in`), "it is printed before the next app has ended")
		}
		Expect(cmd.Process.Signal(syscall.SIGINT)).To(Succeed())
		_ = cmd.Wait()
		Expect(cmd.ProcessState.ExitCode()).To(Equal(1))
		Expect(string(stderr.Contents())).To(HaveSuffix("laminate: interrupted; 1 of 3 apps tested\n"))
		return stdout, stderr
	}

	It("prints their results as they end, and then what was interrupted", func() {
		temp := GinkgoT().TempDir()
		stdout, _ := interrupt(temp)
		Expect(string(stdout.Contents())).To(MatchRegexp(`(?s)^\S+/hello: passed in [^\n]+\n\S+/endless: error in .*   build \| ---> Endless Buildpack\n.*   error: interrupted\n\S+/noisy: error in 0\.0 s\n   error: it was not tested, since the run was ended before\n$`))
		Expect(os.ReadDir(temp)).To(BeEmpty())
	})

	It("prints the whole report, and keeps the log and the directories of what was interrupted", func() {
		temp, logs := GinkgoT().TempDir(), GinkgoT().TempDir()
		stdout, _ := interrupt(temp, "--output", "json", "--logs", logs, "--keep")
		workbench.ExpectValid("smoke.schema.json", stdout.Contents())
		var report smokeReport
		Expect(json.Unmarshal(stdout.Contents(), &report)).To(Succeed())
		Expect(report.Apps).To(HaveExactElements(
			HaveField("Status", "passed"),
			And(HaveField("Status", "error"), HaveField("Error", "interrupted"), HaveField("Kept", BeADirectory())),
			HaveField("Status", "error"),
		))
		Expect(report.Apps[1].Phases).To(HaveExactElements(HaveField("LogFile", filepath.Join(logs, "endless", "build.log"))))
		Expect(os.ReadFile(filepath.Join(logs, "endless", "build.log"))).To(ContainSubstring("Endless Buildpack"))
	})
})

var _ = Describe("builder smoke, before it builds, checks", Ordered, func() {
	var l smokeLab
	BeforeAll(func() { l = newSmokeLab() })

	It("all directories that are named", func() {
		Expect(os.WriteFile(l.at("file"), nil, 0o600)).To(Succeed())
		r := laminateWith(l.vars(), l.args([]string{"none", "../file"}, "--logs", l.at("file/logs"))...)
		Expect(r.code).To(Equal(1))
		Expect(r.stdout).To(BeEmpty())
		Expect(r.stderr).To(And(
			ContainSubstring("--app "+l.at("apps/none")+": no such directory; name the directory of an app"),
			MatchRegexp(`--app \S+file: it is a file; name the directory of an app`),
			ContainSubstring("--logs "+l.at("file/logs")+": not a directory"),
		))
		r = laminateWith(l.vars(), l.args([]string{"hello"}, "--cache", "/proc/x")...)
		Expect(r.stderr).To(HavePrefix("laminate: --cache /proc/x: nothing can be written to /proc: "))
		Expect(r.stdout).To(BeEmpty())
	})

	It("what an app has, and then names no log, since the build did not begin", func() {
		Expect(syscall.Mkfifo(l.at("apps/hello/fifo"), 0o600)).To(Succeed())
		DeferCleanup(os.Remove, l.at("apps/hello/fifo"))
		r := laminateWith(l.vars(), l.args([]string{"hello"})...)
		Expect(r.code).To(Equal(1))
		Expect(r.stdout).To(MatchRegexp(`^\S+/hello: error in [^\n]+\n   error: app \S+: fifo is neither a file, a directory nor a symbolic link\n$`))
	})

	It("no time, but says during the build when that is over", func() {
		r := laminateWith(l.vars(), l.args([]string{"endless"}, "--timeout", "2s")...)
		Expect(r.code).To(Equal(1))
		Expect(r.stdout).To(HaveSuffix("\n   error: app " + l.at("apps/endless") + " took longer than --timeout 2s\n"))
	})

	It("the time limit and the names of variables", func() {
		r := laminate("builder", "smoke", "oci:builder", "--app", ".", "--timeout", "0s", "-e", "A B=1")
		Expect(r.code).To(Equal(2))
		Expect(r.stderr).To(And(
			ContainSubstring("invalid --timeout 0s; write how long a build may take, such as 90s or 15m"),
			ContainSubstring(`invalid --env "A B=1"; write KEY=VALUE`),
		))
	})

	It("the run image", func() {
		r := laminateWith(l.vars(), "builder", "smoke", "oci:"+l.at("builder"), "--run-image", "oci:"+l.at("builder"), "--app", l.at("apps/hello"), "--quiet")
		Expect(r.code).To(Equal(1))
		Expect(r.stdout).To(BeEmpty())
		Expect(r.stderr).To(MatchRegexp(`^laminate: run image \S+: not a run image, but of the kind builder; name another one with --run-image\n$`))
	})
})

var _ = Describe("builder smoke --previous", Ordered, func() {
	var l smokeLab
	BeforeAll(func() { l = newSmokeLab() })

	It("may be missing if the run is to write it, and is used from then on", func() {
		out := filepath.Join(GinkgoT().TempDir(), "image")
		for _, reused := range []bool{false, true} {
			report, r := l.report([]string{"reuses"}, "--previous", "oci:"+out, "--output-layout", "oci:"+out)
			Expect(r.code).To(BeZero(), r.stderr+r.stdout)
			said := ContainSubstring("Reusing layer 'smoke/reuses:data'")
			if !reused {
				said = Not(said)
			}
			Expect(report.Apps[0].Phases[0].Log).To(said)
			Expect(filepath.Join(out, "index.json")).To(BeARegularFile())
		}
		report, r := l.report([]string{"reuses"}, "--previous", "none")
		Expect(r.code).To(BeZero(), r.stderr)
		Expect(report.Apps[0].Phases[0].Log).NotTo(ContainSubstring("Reusing layer 'smoke/reuses:data'"))
	})

	It("is an error if it is missing elsewhere, which names the flag", func() {
		r := laminateWith(l.vars(), l.args([]string{"hello"}, "--previous", "oci:"+l.at("nowhere"))...)
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(HavePrefix("laminate: --previous: "))
	})
})
