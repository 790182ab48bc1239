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
		Expect(err).To(MatchError(And(HavePrefix("smoke/godd: "), ContainSubstring("no network"), ContainSubstring("; did you mean smoke/good@0.0.1"))))
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
