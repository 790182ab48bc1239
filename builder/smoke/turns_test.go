package smoke_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke"
	"laminate/fixtures"
	"laminate/fixtures/workbench"
	"laminate/packager/config"
)

// turns tests the app of three buildpacks that do what the scripts say, with another one's layers in
// $layers/smoke_first and so on, and the own layer in $layer. The fourth is for the detection.
func (l *lab) turns(ctx context.Context, mode smoke.LayerWrites, scripts ...string) (smoke.Result, *smoke.Built) {
	GinkgoHelper()
	dir := l.At("app-turns")
	if _, err := os.Stat(dir); err != nil {
		Expect(fixtures.CopyDir(dir, "smoke/apps/turns")).To(Succeed())
	}
	var env []config.EnvVar
	for i, script := range scripts {
		env = append(env, config.EnvVar{Name: []string{"BP_FIRST", "BP_SECOND", "BP_THIRD", "BP_DETECT"}[i], Value: script})
	}
	result, built := l.Test(ctx, smoke.App{Dir: dir, Env: env, LayerWrites: mode})
	DeferCleanup(built.Close)
	return result, built
}

// until is the end of a script that waits until the process it has started last has become a program.
func until(name string) string {
	return "; until read name </proc/$!/comm && [ $name = " + name + " ]; do :; done; "
}

func messages(r smoke.Result) (all []string) {
	for _, f := range r.Failures {
		all = append(all, f.Message)
	}
	return all
}

// intrusions are writes of the second buildpack into what is not its own, in a shell with $them for the layer
// of the first, and what is found of each.
var intrusions = []struct {
	name, script string
	found        []string
}{
	{"add", `echo x >$them/d/new`, []string{"added smoke_first/data/d/new"}},
	{"append", `echo x >>$them/d/1`, []string{"changed smoke_first/data/d/1"}},
	{"change in place", `printf X 1<>$them/d/1`, []string{"changed smoke_first/data/d/1"}},
	{"truncate", `true >$them/d/1`, []string{"changed smoke_first/data/d/1"}},
	{"remove", `rm $them/d/1`, []string{"removed smoke_first/data/d/1"}},
	{"rename within", `mv $them/d/1 $them/d/3`, []string{"removed smoke_first/data/d/1", "added smoke_first/data/d/3"}},
	{"rename into the own", `mv $them/d/1 $layer/stolen`, []string{"removed smoke_first/data/d/1"}},
	{"rename out of the own", `cp $layer/d/1 $layer/stolen && mv $layer/stolen $them/d/new`, []string{"added smoke_first/data/d/new"}},
	{"rename over", `echo x >$layer/stolen && mv $layer/stolen $them/d/1`, []string{"changed smoke_first/data/d/1"}},
	{"chmod", `chmod 600 $them/d/1`, []string{"changed smoke_first/data/d/1"}},
	{"hard link into the own", `busybox ln $them/d/1 $layer/stolen && echo x >>$layer/stolen`, []string{"changed smoke_first/data/d/1"}},
	{"hard link out of the own", `busybox ln $layer/d/1 $them/d/new`, []string{"added smoke_first/data/d/new"}},
	{"symlink swap", `rm $them/d/1 && busybox ln -s 2 $them/d/1`, []string{"changed smoke_first/data/d/1"}},
	{"through a symlink", `busybox ln -s $them $layer/stolen && echo x >$layer/stolen/d/1`, []string{"changed smoke_first/data/d/1"}},
	{"mkdir", `mkdir $them/new`, []string{"added smoke_first/data/new"}},
	{"rmdir", `busybox rmdir $them/empty`, []string{"removed smoke_first/data/empty"}},
	{"times", `touch -d @1 $them/d/1`, []string{"touched smoke_first/data/d/1"}},
	{"through /proc/self/fd", `sh -c "exec 3<$them/d/1; echo x >>/proc/self/fd/3"`, []string{"changed smoke_first/data/d/1"}},
	{"from within", `(cd $them/d && echo x >new)`, []string{"added smoke_first/data/d/new"}},
	{"its metadata", `echo "[metadata]" >>$them.toml`, []string{"changed smoke_first/data.toml"}},
	{"the directory of a later one", `mkdir -p $layers/smoke_third/planted`, []string{"added smoke_third/planted"}},
	{"the lifecycle's", `mkdir -p $layers/config && echo x >$layers/config/planted`, []string{"added config"}},
	{"its SBOMs", `mkdir -p $layers/sbom/launch`, []string{"added sbom"}},
	{"all of it", `mv $layers/smoke_first $layers/elsewhere`, []string{"removed smoke_first"}},
}

var _ = Describe("the turns of buildpacks, with the stand-in for the lifecycle", Ordered, func() {
	var l *lab
	var clean string // the image without intrusion
	BeforeAll(func(ctx SpecContext) {
		l = newLab()
		result, built := l.turns(ctx, smoke.IgnoreWrites)
		Expect(result.Status).To(Equal(smoke.Passed), "%+v", result)
		clean = workbench.DigestOf(built.App)
	})

	It("give the same image, however they are watched", func(ctx SpecContext) {
		for _, mode := range []smoke.LayerWrites{smoke.WarnOfWrites, smoke.RefuseWrites} {
			result, built := l.turns(ctx, mode)
			Expect(result.Status).To(Equal(smoke.Passed), "%+v", result)
			Expect(result.LayerWrites).To(BeEmpty())
			Expect(workbench.DigestOf(built.App)).To(Equal(clean))
		}
	})

	// Those that write below the first one's data get a copy of it each, in one build.
	It("are found to write into other layers", func(ctx SpecContext) {
		expect := func(name, first, script string, want []string) {
			GinkgoHelper()
			result, _ := l.turns(ctx, smoke.WarnOfWrites, first, script)
			Expect(result.Status).To(Equal(smoke.Passed), "%s: %+v", name, result)
			var said []string
			for _, w := range result.LayerWrites {
				Expect(w.Buildpack).To(Equal("smoke/second"))
				said = append(said, fmt.Sprint(w.Change, " ", strings.TrimPrefix(w.Path, "/layers/")))
			}
			Expect(said).To(Equal(want), name)
			Expect(result.Warnings).To(HaveLen(len(want)), name)
		}
		const data = "smoke_first/data/"
		var first, script string
		var want []string
		for i, in := range intrusions {
			if !strings.Contains(in.found[0], data) {
				expect(in.name, "", "them=$layers/smoke_first/data; "+in.script, in.found)
				continue
			}
			first += fmt.Sprintf("mkdir $layer/%02d; cp -r $layer/d $layer/empty $layer/%02[1]d; ", i)
			script += fmt.Sprintf("them=$layers/smoke_first/data/%02d; %s; rm -rf $layer/stolen; ", i, in.script)
			for _, found := range in.found {
				want = append(want, strings.Replace(found, data, fmt.Sprintf("%s%02d/", data, i), 1))
			}
		}
		expect("all below data", first, script, want)
	})

	It("are refused to write into other layers", func(ctx SpecContext) {
		script := "them=$layers/smoke_first/data; "
		for i, in := range intrusions {
			script += fmt.Sprintf("if ( %s ); then echo %d: done; else echo %d: refused; fi; rm -rf $layer/stolen; ", in.script, i, i)
		}
		result, built := l.turns(ctx, smoke.RefuseWrites, "", script)
		Expect(result.Status).To(Equal(smoke.Passed), "%+v", result)
		before, log := "", logOfPhase(result, "build")
		for i, in := range intrusions {
			why, rest, _ := strings.Cut(log, fmt.Sprintf("%d: refused\n", i))
			Expect(why).To(MatchRegexp("(Read-only file system|Invalid cross-device link|Resource busy)\n$"), "%s: %s%s", in.name, before, why)
			before, log = in.name, rest
		}
		Expect(result.LayerWrites).To(BeEmpty())
		Expect(workbench.DigestOf(built.App)).To(Equal(clean))
	})

	It("of which one fails that writes elsewhere say what else to try", func(ctx SpecContext) {
		result, _ := l.turns(ctx, smoke.RefuseWrites, "", "rm $layers/smoke_first/data/d/1")
		Expect(result.Status).To(Equal(smoke.Failed))
		Expect(messages(result)).To(HaveExactElements(ContainSubstring("exit code 51")))
		Expect(result.Warnings).To(Equal([]string{"writes into the layers of other buildpacks were refused in this build; --layer-writes warn lists them"}))
	})

	It("fail with what is found although it was not refused", func(ctx SpecContext) {
		link := "mkdir -p /layers/smoke_first/data /layers/smoke_second/data; echo x >/layers/smoke_first/data/x; busybox ln /layers/smoke_first/data/x /layers/smoke_second/data/x"
		result, _ := l.turns(ctx, smoke.RefuseWrites, "", "echo y >>$layer/x", "", link)
		Expect(messages(result)).To(Equal([]string{`smoke/second changed /layers/smoke_first/data/x, in layer "data" of smoke/first`}))
		Expect(result.Warnings).To(BeEmpty())
		Expect(result.LayerWrites).To(HaveLen(1))
	})

	It("do not begin where the layers are not what the lifecycle makes of them", func(ctx SpecContext) {
		result, _ := l.turns(ctx, smoke.RefuseWrites, "", "", "", "mkdir /layers/x; busybox ln -s x /layers/smoke_second")
		Expect(messages(result)).To(Equal([]string{`layers cannot be protected: layers: making the directory "smoke_second": not a directory`}))
		Expect(logOfPhase(result, "build")).To(HaveSuffix("===> BUILDING\n"))
		result, _ = l.turns(ctx, smoke.RefuseWrites, "", "", "", "sleep 600 </dev/null >/layers/log 2>&1 & true"+until("sleep"))
		Expect(messages(result)).To(Equal([]string{
			"process sleep (sleep 600) outlived the detection",
			"/layers cannot be protected: process sleep (sleep 600) has /layers/log open for writing; the build was ended",
		}))
	})

	Describe("that leave a process behind", func() {
		stay := "sleep 600 </dev/null >/dev/null 2>&1 & true" + until("sleep")
		// The process that is left waits at a pipe, until the next turn lets it go on and waits for its end.
		const pipe = "busybox mkfifo /tmp/go; "
		const goOn = "read pid </tmp/pid; echo x >/tmp/go; while [ -e /proc/$pid ]; do sleep 0.01; done"

		It("are named with it, also where it ends before the build", func(ctx SpecContext) {
			leave := pipe + "cat /tmp/go </dev/null >/dev/null 2>&1 & echo $! >/tmp/pid" + until("cat")
			warned, _ := l.turns(ctx, smoke.WarnOfWrites, leave, goOn)
			Expect(warned.Status).To(Equal(smoke.Passed), "%+v", warned)
			Expect(warned.Warnings).To(Equal([]string{"process cat (cat /tmp/go) of smoke/first outlived its turn"}))
			Expect(warned.Outlived).To(Equal([]smoke.Outlived{{Buildpack: "smoke/first", Name: "cat", Command: "cat /tmp/go"}}))
			refused, _ := l.turns(ctx, smoke.RefuseWrites, leave, goOn)
			Expect(refused.Status).To(Equal(smoke.Failed))
			Expect(messages(refused)).To(Equal(warned.Warnings))
			Expect(refused.Warnings).To(BeEmpty())
		})

		It("are named with it at the end of the build", func(ctx SpecContext) {
			for _, mode := range []smoke.LayerWrites{smoke.WarnOfWrites, smoke.RefuseWrites} {
				result, _ := l.turns(ctx, mode, "", stay, stay)
				Expect(messages(result)).To(Equal([]string{
					"process sleep (sleep 600) of smoke/second outlived the build; it was ended",
					"process sleep (sleep 600) of smoke/third outlived the build; it was ended",
				}))
				Expect(result.Warnings).To(BeEmpty())
			}
			ignored, _ := l.turns(ctx, smoke.IgnoreWrites, stay)
			Expect(messages(ignored)).To(Equal([]string{"process sleep (sleep 600) outlived the build; it was ended"}))
		})

		It("find that it cannot write either when their turn is over", func(ctx SpecContext) {
			write := pipe + `sh -c "read x </tmp/go; echo x >$layer/late" </dev/null >/dev/null 2>&1 & echo $! >/tmp/pid` + until("sh")
			warned, _ := l.turns(ctx, smoke.WarnOfWrites, write, goOn)
			Expect(warned.LayerWrites).To(HaveExactElements(And(HaveField("Path", "/layers/smoke_first/data/late"), HaveField("Buildpack", "smoke/second"))))
			refused, built := l.turns(ctx, smoke.RefuseWrites, write, goOn)
			Expect(refused.LayerWrites).To(BeEmpty())
			Expect(messages(refused)).To(And(Not(BeEmpty()), HaveEach(MatchRegexp(`^process sh \(.*\) of smoke/first outlived its turn$`))))
			Expect(workbench.DigestOf(built.App)).To(Equal(clean))
		})

		It("are named with the file that it has open for writing", func(ctx SpecContext) {
			result, built := l.turns(ctx, smoke.RefuseWrites, "sleep 600 </dev/null >$layer/log 2>&1 & true"+until("sleep"), "echo never")
			Expect(result.Status).To(Equal(smoke.Failed))
			Expect(messages(result)).To(ContainElement("the layers of smoke/first cannot be protected: process sleep (sleep 600) of smoke/first has /layers/smoke_first/data/log open for writing; the build was ended"))
			Expect(logOfPhase(result, "build")).NotTo(ContainSubstring("never"))
			Expect(built.App).To(BeNil())
			Expect(result.Phases).To(HaveExactElements(HaveField("ExitCode", BeNil())))
			Expect(result.Image).To(BeEmpty())
		})
	})
})
