package cli_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
)

// manySources is the largest number of sources for which the number of rounds is promised.
const manySources = 64

// enterManySources publishes the build image and many packages in a registry, and writes a
// builder.toml over them. For several targets, all of them are image indexes.
func enterManySources(targets ...string) *fixtures.Traffic {
	GinkgoHelper()
	enterBuilder()
	registry := fixtures.CountedRegistry(GinkgoT())
	ref, err := name.ParseReference(registry.Host + "/base:1")
	Expect(err).NotTo(HaveOccurred())
	if len(targets) > 1 {
		index, err := layout.ImageIndexFromPath("base") // for amd64 and arm64
		Expect(err).NotTo(HaveOccurred())
		Expect(remote.WriteIndex(ref, index)).To(Succeed())
	} else {
		base, err := fixtures.BaseImage("")
		Expect(err).NotTo(HaveOccurred())
		Expect(remote.Write(ref, base)).To(Succeed())
	}
	toml := fmt.Sprintf("[build]\nimage = \"%s/base:1\"\n[[run.images]]\nimage = \"%[1]s/base:1\"\nmirrors = [\"%[1]s/base:1\"]\n[lifecycle]\nuri = \"lifecycle.tgz\"\n", registry.Host)
	for i := range manySources {
		id := fmt.Sprintf("many%d", i)
		putBuildpack(id)
		ref := fmt.Sprintf("%s/acme/%s:1", registry.Host, id)
		Expect(laminate(append([]string{"package", "-q", ref, "--publish", "-p", id, "--no-cache"}, flagsFor(targets)...)...).code).To(BeZero())
		toml += fmt.Sprintf("[[buildpacks]]\nuri = \"docker://%s\"\n[[order]]\n[[order.group]]\nid = \"acme/%s\"\n", ref, id)
	}
	put("builder.toml", toml)
	return registry
}

// flagsFor are the flags for targets.
func flagsFor(targets []string) (flags []string) {
	for _, t := range targets {
		flags = append(flags, "-t", t)
	}
	return flags
}

// hasFewRounds creates a builder, and counts the requests that wait for each other.
func hasFewRounds(registry *fixtures.Traffic, dest, flatten string, most int, more ...string) {
	GinkgoHelper()
	registry.Reset()
	rounds, stop := registry.Rounds()
	defer stop()
	r := publish(registry, dest, flatten, more...)
	Expect(r.code).To(BeZero(), r.stderr)
	fmt.Fprintf(GinkgoWriter, "%d rounds, %d requests\n%s", rounds.Count(), len(registry.Requests(nil)), rounds.Chain())
	Expect(rounds.Count()).To(BeNumerically("<=", most), rounds.Chain)
	Expect(twice(registry)).To(BeEmpty())
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

	DescribeTable("has few rounds of requests, whatever the number of sources", func(dest, flatten string, most int, more ...string) {
		hasFewRounds(registry, dest, flatten, most, more...)
	},
		Entry("exploded, nothing changed", "old-none", "none", 7, "-t", "linux/amd64"),
		Entry("flattened, nothing changed", "old-all", "all", 7, "-t", "linux/amd64"),
		Entry("exploded, nothing changed, for the build image's architecture", "old-none", "none", 8),
		Entry("exploded, nothing changed, with few requests at the same time", "old-none", "none", 11, "--jobs", "16", "-t", "linux/amd64"),
		Entry("exploded, nothing changed, with more requests at the same time", "old-none", "none", 5, "--jobs", "64", "-t", "linux/amd64"),
		Entry("exploded, a new repository", "new", "none", 13, "-t", "linux/amd64"),
	)

	It("is as quick to update, and to package", func() {
		var dependencies strings.Builder
		var ids []string
		for i := range manySources {
			ids = append(ids, fmt.Sprintf("many%d", i))
			fmt.Fprintf(&dependencies, "[[dependencies]]\nuri = \"docker://%s/acme/%s:1\"\n", registry.Host, ids[i])
		}
		putBuildpack("composite", ids...)
		put("many.toml", "[buildpack]\nuri = \"composite\"\n"+dependencies.String())
		put("update.toml", strings.ReplaceAll(string(must(os.ReadFile("builder.toml"))), ":1\"", ":0.0.1\""))
		pack := func(dest string, more ...string) []string {
			return append([]string{"package", registry.Host + "/" + dest, "-q", "--publish", "-c", "many.toml", "--no-cache", "--flatten"}, more...)
		}
		for _, c := range []struct {
			most int
			args []string
		}{
			{5, []string{"update", "update.toml"}},
			{7, pack("composite:1", "-t", "linux/amd64")},
			{8, pack("composite:2")},
		} {
			Expect(laminate(c.args...).code).To(BeZero())
			registry.Reset()
			rounds, stop := registry.Rounds()
			r := laminate(c.args...)
			stop()
			Expect(r.code).To(BeZero(), r.stderr)
			fmt.Fprintf(GinkgoWriter, "%v\n%d rounds, %d requests\n%s", c.args, rounds.Count(), len(registry.Requests(nil)), rounds.Chain())
			Expect(rounds.Count()).To(BeNumerically("<=", c.most), rounds.Chain)
		}
	})
})

var _ = Describe("builder create over a slow network from image indexes", Ordered, ContinueOnFailure, func() {
	targets := []string{"linux/amd64", "linux/arm64"}
	var registry *fixtures.Traffic
	BeforeAll(func() {
		registry = enterManySources(targets...)
		for _, flatten := range []string{"none", "all"} {
			r := publish(registry, "old-"+flatten, flatten, flagsFor(targets)...)
			Expect(r.code).To(BeZero(), r.stderr)
		}
	})

	DescribeTable("has few rounds of requests, whatever the number of sources", func(dest, flatten string, most int, targets ...string) {
		hasFewRounds(registry, dest, flatten, most, flagsFor(targets)...)
	},
		Entry("exploded, nothing changed", "old-none", "none", 12, targets[0], targets[1]),
		Entry("flattened, nothing changed", "old-all", "all", 12, targets[0], targets[1]),
		Entry("one target of two", "new-amd64", "none", 16, targets[0]),
		Entry("exploded, a new repository", "new", "none", 22, targets[0], targets[1]),
	)
})

var _ = Describe("builder create over a slow network with tokens", Ordered, ContinueOnFailure, func() {
	var registry *fixtures.Traffic
	BeforeAll(func() {
		registry = enterManySources()
		r := publish(registry, "old", "none")
		Expect(r.code).To(BeZero(), r.stderr)
		registry.Before(withTokens(registry.Host))
	})

	DescribeTable("has few rounds of requests, whatever the number of sources", func(dest string, most int) {
		registry.Reset()
		rounds, stop := registry.Rounds()
		defer stop()
		r := publish(registry, dest, "none", "-t", "linux/amd64")
		Expect(r.code).To(BeZero(), r.stderr)
		fmt.Fprintf(GinkgoWriter, "%d rounds, %d requests\n%s", rounds.Count(), len(registry.Requests(nil)), rounds.Chain())
		Expect(rounds.Count()).To(BeNumerically("<=", most), rounds.Chain)
		_, up := registry.Layers()
		Expect(up).To(BeNumerically("<", 10_000), "what can be mounted is mounted")
	},
		Entry("exploded, nothing changed", "old", 9),
		Entry("exploded, a new repository", "new", 16),
	)
})

// withTokens lets a registry require a token for each repository, which names what it is for.
func withTokens(host string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/token" {
			_, err := fmt.Fprintf(w, `{"token":"%s","expires_in":300}`, strings.Join(r.URL.Query()["scope"], "+"))
			return err == nil
		}
		path := strings.TrimPrefix(r.URL.Path, "/v2/")
		for _, kind := range []string{"/manifests/", "/blobs/", "/tags/"} {
			path, _, _ = strings.Cut(path, kind)
		}
		wants := []string{"repository:" + path + ":"}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			wants[0] += "push"
		}
		if from := r.URL.Query().Get("from"); from != "" {
			wants = append(wants, "repository:"+from+":")
		}
		for _, want := range wants {
			if path == "" || !strings.Contains(r.Header.Get("Authorization")+"+", want) {
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="x"`, host))
				w.WriteHeader(http.StatusUnauthorized)
				return true
			}
		}
		return false
	}
}

var _ = Describe("builder create over a network with faults", Ordered, ContinueOnFailure, func() {
	var registry *fixtures.Traffic
	BeforeAll(func() { registry = enterManySources() })
	AfterEach(func() { registry.Before(nil) })

	It("ends well if the registry answers 429 to every third request", func() {
		registry.Reset()
		want := publish(registry, "calm", "none")
		Expect(want.code).To(BeZero(), want.stderr)
		calm := registry.Requests(nil)
		registry.Reset()
		registry.Before(everyThird())
		rounds, stop := registry.Rounds()
		r := publish(registry, "busy", "none")
		Expect(r.code).To(BeZero(), r.stderr)
		stop()
		registry.Before(nil)
		all := registry.Requests(nil)
		digest, err := digestAt(registry.Host + "/busy:1")
		Expect(err).NotTo(HaveOccurred())
		Expect(want.stdout).To(HavePrefix(digest + "\t"))
		fmt.Fprintf(GinkgoWriter, "%d rounds\n%s", rounds.Count(), rounds.Chain())
		Expect(rounds.Count()).To(BeNumerically("<=", 45), rounds.Chain) // 15 without, some 33 with it
		By("sending nothing again that was not refused")
		served := slices.DeleteFunc(slices.Clone(all), func(r fixtures.Request) bool { return r.Status == http.StatusTooManyRequests })
		Expect(served).To(HaveLen(len(calm)))
		Expect(len(all) - len(served)).To(BeNumerically(">", len(calm)/3))
	})

	It("ends well if what comes third, one request at a time, is always the content of a blob", func() {
		registry.Before(everyThird())
		r := publish(registry, "busy-alone", "all", "--jobs", "1")
		Expect(r.code).To(BeZero(), r.stderr)
	})

	It("ends soon, and moves no tag, if the network breaks in the middle", func() {
		for _, after := range []int32{5, 100, 140, 200} {
			registry.Reset()
			wire, err := fixtures.NewWire(registry.Host, time.Millisecond, 1e9)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(wire.Close)
			put("builder.toml", strings.ReplaceAll(string(must(os.ReadFile("builder.toml"))), registry.Host, wire.Host))
			var n atomic.Int32
			registry.Before(func(http.ResponseWriter, *http.Request) bool {
				if n.Add(1) == after {
					wire.Close()
				}
				return false
			})
			repository := fmt.Sprintf("broken%d", after)
			began := time.Now()
			r := laminate("builder", "create", wire.Host+"/"+repository+":1", "-q", "--publish", "-c", "builder.toml", "-t", "linux/amd64", "--no-cache")
			Expect(r.code).To(Equal(1), r.stderr)
			Expect(r.stderr).To(ContainSubstring(wire.Host))
			Expect(time.Since(began)).To(BeNumerically("<", 30*time.Second))
			_, err = digestAt(registry.Host + "/" + repository + ":1")
			Expect(err).To(HaveOccurred())
			put("builder.toml", strings.ReplaceAll(string(must(os.ReadFile("builder.toml"))), wire.Host, registry.Host))
		}
	})
})

// everyThird answers 429 to every third request.
func everyThird() func(http.ResponseWriter, *http.Request) bool {
	var n atomic.Int32
	return func(w http.ResponseWriter, _ *http.Request) bool {
		if n.Add(1)%3 != 0 {
			return false
		}
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	}
}

// digestAt returns the digest of an image in a registry.
func digestAt(ref string) (string, error) {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return "", err
	}
	d, err := remote.Head(parsed)
	if err != nil {
		return "", err
	}
	return d.Digest.String(), nil
}

// publish creates the builder in a repository of the registry, without a cache.
func publish(registry *fixtures.Traffic, repository, flatten string, more ...string) result {
	GinkgoHelper()
	return laminate(append([]string{"builder", "create", registry.Host + "/" + repository + ":1", "-q", "--publish", "-c", "builder.toml", "--no-cache", "--flatten=" + flatten}, more...)...)
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
