package lifecycle_test

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/lifecycle"
	"laminate/flatten"
)

func TestLifecycle(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "lifecycle")
}

// builder is the metadata of a builder whose lifecycle supports versions of the Platform API.
func builder(supported ...string) flatten.BuilderMetadata {
	var b flatten.BuilderMetadata
	b.Lifecycle.Version = "0.21.0"
	b.Lifecycle.APIs.Platform.Supported = supported
	return b
}

var user = []string{"CNB_USER_ID=1001", "CNB_GROUP_ID=1002"}

var _ = Describe("a lifecycle", func() {
	It("is run with the newest API that is known", func() {
		p, err := lifecycle.PlatformOf(builder("0.9", "0.13", "0.12", "0.99"), user)
		Expect(err).NotTo(HaveOccurred())
		Expect(p.API).To(Equal("0.13"))
		Expect([]int{p.UID, p.GID}).To(Equal([]int{1001, 1002}))
	})

	DescribeTable("cannot be run", func(supported, env []string, want string) {
		_, err := lifecycle.PlatformOf(builder(supported...), env)
		Expect(err).To(MatchError(want))
	},
		Entry("if it is too old", []string{"0.9", "0.10"}, user, "lifecycle 0.21.0 supports none of the Platform APIs 0.11 to 0.15, with which it can export an OCI layout"),
		Entry("as root", []string{"0.13"}, []string{"CNB_USER_ID=0", "CNB_GROUP_ID=1"}, `environment variable CNB_USER_ID is "0"; it must be the id of the build user, which is not root`),
		Entry("without a user", []string{"0.13"}, []string{"CNB_USER_ID=1"}, `environment variable CNB_GROUP_ID is ""; it must be the id of the build user, which is not root`),
	)

	It("has the environment of the builder, except what the build decides", func() {
		p, err := lifecycle.PlatformOf(builder("0.13"), append([]string{"PATH=/bin", "HOME=/root", "LANG=C", "CNB_USE_LAYOUT=false"}, user...))
		Expect(err).NotTo(HaveOccurred())
		Expect(p.Environment("/layout", "HOME=/home/cnb")).To(Equal([]string{"PATH=/bin", "CNB_PLATFORM_API=0.13", "CNB_USE_LAYOUT=true", "CNB_LAYOUT_DIR=/layout",
			"CNB_EXPERIMENTAL_MODE=warn", "CNB_NO_COLOR=true", "CNB_USER_ID=1001", "CNB_GROUP_ID=1002", "HOME=/home/cnb", "LANG=C"}))
	})

	DescribeTable("finds an image", func(ref, want string) {
		r, err := name.ParseReference(ref)
		Expect(err).NotTo(HaveOccurred())
		Expect(lifecycle.LayoutPath(r)).To(Equal(want))
	},
		Entry("by its tag", "acme/run:1", "index.docker.io/acme/run/1"),
		Entry("by its digest", "example.com/run@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
			"example.com/run/sha256/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
	)

	It("gets the reference of the run image right, and changes nothing else", func() {
		Expect(lifecycle.WithRunImage(`{"app":[{"sha":"x"}],"runImage":{"topLayer":"y","reference":"/layout/run@sha256:z"},"stack":{}}`, "acme/run@sha256:q")).
			To(Equal(`{"app":[{"sha":"x"}],"runImage":{"topLayer":"y","reference":"acme/run@sha256:q"},"stack":{}}`))
		_, err := lifecycle.WithRunImage("{", "x")
		Expect(err).To(MatchError(HavePrefix("label io.buildpacks.lifecycle.metadata: ")))
	})
})
