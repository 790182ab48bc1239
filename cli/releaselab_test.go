package cli_test

import (
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/fixtures/workbench"
)

// releaseLab is a directory with a builder of two components and its release.toml, and a registry.
type releaseLab struct {
	*workbench.Bench
	*fixtures.Traffic
}

const releaseBuilder = `description = "Two tools"
[build]
image = "oci:base"
[[run.images]]
image = "oci:base"
[lifecycle]
uri = "lifecycle.tgz"
[[buildpacks]]
uri = "acme_a@1.0.0"
[[buildpacks]]
uri = "acme_b@1.0.0"
[[order]]
[[order.group]]
id = "acme/a"
version = "1.0.0"
`

func newReleaseLab() *releaseLab {
	GinkgoHelper()
	l := &releaseLab{workbench.New(), fixtures.CountedRegistry(GinkgoT())}
	base, err := fixtures.BaseImage("")
	Expect(err).NotTo(HaveOccurred())
	_, err = layout.Write(l.At("base"), mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: base}))
	Expect(err).NotTo(HaveOccurred())
	l.Write("lifecycle.tgz", workbench.LifecycleArchive())
	l.Component("acme/a@1.0.0")
	l.Component("acme/b@1.0.0")
	l.Write("builder.toml", releaseBuilder)
	l.toml("[[builders.variants]]\nname = 'standard'\n[[builders.variants]]\nname = 'buildpackless'\n")
	return l
}

// toml writes release.toml with more lines.
func (l *releaseLab) toml(more string) {
	GinkgoHelper()
	l.Write("release.toml", "[[builders]]\nname = 'full'\nconfig = 'builder.toml'\nrepositories = ['"+l.Host+"/builder']\n"+more)
}

// run runs "laminate release" with the release.toml.
func (l *releaseLab) run(args ...string) result {
	GinkgoHelper()
	return l.runWith(nil, args...)
}

func (l *releaseLab) runWith(vars map[string]string, args ...string) result {
	GinkgoHelper()
	r := laminateWith(vars, append([]string{"release", "--config", l.At("release.toml"), "--no-cache", "--quiet"}, args...)...)
	for _, text := range []*string{&r.stdout, &r.stderr} {
		*text = strings.NewReplacer(l.Dir+"/", "", l.Host, "HOST").Replace(*text)
	}
	return r
}

// writes are the requests that write.
func (l *releaseLab) writes() []fixtures.Request {
	return l.Requests(func(r fixtures.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead })
}
