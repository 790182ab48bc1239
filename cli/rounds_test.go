package cli_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
)

// manySources is the largest number of sources for which the number of rounds is promised.
const manySources = 64

// enterManySources publishes the build image and many packages in a registry, and writes a
// builder.toml over them.
func enterManySources() *fixtures.Traffic {
	GinkgoHelper()
	enterBuilder()
	registry := fixtures.CountedRegistry(GinkgoT())
	base, err := fixtures.BaseImage("")
	Expect(err).NotTo(HaveOccurred())
	ref, err := name.ParseReference(registry.Host + "/base:1")
	Expect(err).NotTo(HaveOccurred())
	Expect(remote.Write(ref, base)).To(Succeed())
	toml := fmt.Sprintf("[build]\nimage = \"%s/base:1\"\n[[run.images]]\nimage = \"%[1]s/base:1\"\nmirrors = [\"%[1]s/base:1\"]\n[lifecycle]\nuri = \"lifecycle.tgz\"\n", registry.Host)
	for i := range manySources {
		id := fmt.Sprintf("many%d", i)
		putBuildpack(id)
		ref := fmt.Sprintf("%s/acme/%s:1", registry.Host, id)
		Expect(laminate("package", "-q", ref, "--publish", "-p", id, "--no-cache").code).To(BeZero())
		toml += fmt.Sprintf("[[buildpacks]]\nuri = \"docker://%s\"\n[[order]]\n[[order.group]]\nid = \"acme/%s\"\n", ref, id)
	}
	put("builder.toml", toml)
	return registry
}

var _ = Describe("builder create over a slow network", Ordered, ContinueOnFailure, func() {
	var registry *fixtures.Traffic
	BeforeAll(func() {
		registry = enterManySources()
		for _, flatten := range []string{"none", "all"} {
			r := publish(registry, "old-"+flatten, flatten)
			Expect(r.code).To(BeZero(), r.stderr)
		}
	})

	DescribeTable("has few rounds of requests, whatever the number of sources", func(dest, flatten string, most int) {
		registry.Reset()
		rounds, stop := registry.Rounds()
		defer stop()
		r := publish(registry, dest, flatten)
		Expect(r.code).To(BeZero(), r.stderr)
		fmt.Fprintf(GinkgoWriter, "%d rounds, %d requests\n%s", rounds.Count(), len(registry.Requests(nil)), rounds.Chain())
		Expect(rounds.Count()).To(BeNumerically("<=", most), rounds.Chain)
		Expect(twice(registry)).To(BeEmpty())
	},
		Entry("exploded, nothing changed", "old-none", "none", 12),
		Entry("flattened, nothing changed", "old-all", "all", 12),
		Entry("exploded, a new repository", "new", "none", 20),
	)
})

// publish creates the builder in a repository of the registry, without a cache.
func publish(registry *fixtures.Traffic, repository, flatten string) result {
	GinkgoHelper()
	return laminate("builder", "create", registry.Host+"/"+repository+":1", "-q", "--publish", "-c", "builder.toml", "-t", "linux/amd64", "--no-cache", "--flatten="+flatten)
}

// twice returns what was read more than once.
func twice(registry *fixtures.Traffic) []string {
	n := map[string]int{}
	for _, r := range registry.Requests(func(r fixtures.Request) bool { return r.Method == "GET" && r.Status == 200 }) {
		n[strings.Join([]string{string(r.Kind), r.Repo, r.Digest}, " ")]++
	}
	var more []string
	for what, times := range n {
		if times > 1 {
			more = append(more, fmt.Sprintf("%s: %d times", what, times))
		}
	}
	slices.Sort(more)
	return more
}
