package smoke_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke"
	"laminate/fixtures"
	"laminate/fixtures/workbench"
	"laminate/packager/source"
)

// noNetwork fails all requests.
type noNetwork struct{}

func (noNetwork) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no network")
}

var _ = Describe("added buildpacks", Ordered, func() {
	var l *lab
	BeforeAll(func() { l = newLab() })

	open := func(buildpacks ...string) (*smoke.Session, string, error) {
		GinkgoHelper()
		work := GinkgoT().TempDir()
		s, err := smoke.Open(context.Background(), smoke.Options{
			Builder: l.builder, RunImage: l.run, WorkDir: work, Buildpacks: buildpacks,
			Opener: &source.Opener{Transport: noNetwork{}, WorkDir: work},
		})
		return s, work, err
	}

	It("are taken for images where they are nothing else, with a hint at those of the builder", func() {
		_, _, err := open("smoke/godd")
		Expect(err).To(MatchError(And(HavePrefix("smoke/godd: "), ContainSubstring("no network"), ContainSubstring("; there is no such file or directory, and no such buildpack in the builder; did you mean smoke/good@0.0.1"))))
	})

	It("are warned of if the builder does not have their interpreter", func() {
		Expect(os.MkdirAll(l.At("scripts/bin"), 0o755)).To(Succeed())
		put := func(name, text string) {
			GinkgoHelper()
			Expect(os.WriteFile(l.At("scripts/"+name), []byte(text), 0o755)).To(Succeed())
		}
		put("buildpack.toml", "api = \"0.10\"\n[buildpack]\nid = \"a/b\"\nversion = \"1\"\n[[targets]]\nos = \"linux\"\n")
		put("bin/build", "#!/bin/sh\n")
		for script, warned := range map[string]bool{"#!/bin/sh\n": false, "#! /usr/bin/none -e\n": true, "\x7fELF": false} {
			put("bin/detect", script)
			log := new(workbench.Log)
			s, err := smoke.Open(context.Background(), smoke.Options{
				Builder: l.builder, RunImage: l.run, WorkDir: GinkgoT().TempDir(), Buildpacks: []string{l.At("scripts")},
				Opener: &source.Opener{WorkDir: GinkgoT().TempDir()}, Log: log,
			})
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(s.Close)
			said := l.builder.Name + " has no /usr/bin/none, the interpreter of /cnb/buildpacks/a_b/1/bin/detect; its build image must have it"
			if warned {
				Expect(log.Warnings).To(ContainElement(said))
			} else {
				Expect(log.Warnings).NotTo(ContainElement(ContainSubstring("interpreter")))
			}
		}
	})

	It("have their order in the builder's place, wherever the builder says that it is", func(ctx SpecContext) {
		config := &l.builder.Config.Config
		config.Env = append(config.Env, "CNB_ORDER_PATH=/cnb/elsewhere.toml")
		DeferCleanup(func() { config.Env = config.Env[:len(config.Env)-1] })
		s, _, err := open(l.At("good"))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(s.Close)
		Expect(fixtures.CopyDir(l.At("app"), "smoke/apps/hello")).To(Succeed())
		result, built := s.Test(ctx, smoke.App{Dir: l.At("app")})
		DeferCleanup(built.Close)
		Expect(result.Status).To(Equal(smoke.Passed), "%+v", result)
	})

	It("are gone when the session is closed, and leave nothing when it does not open", func() {
		s, work, err := open(l.At("good"), smoke.FromBuilder)
		Expect(err).NotTo(HaveOccurred())
		Expect(os.ReadDir(work)).NotTo(BeEmpty())
		Expect(filepath.Glob(filepath.Join(work, "added-*", "*.tgz"))).To(BeEmpty(), "the unpacked layer")
		Expect(s.Close()).To(Succeed())
		Expect(os.ReadDir(work)).To(BeEmpty())
		_, work, err = open(l.At("good"), l.At("none"))
		Expect(err).To(HaveOccurred())
		Expect(os.ReadDir(work)).To(BeEmpty())
	})
})
