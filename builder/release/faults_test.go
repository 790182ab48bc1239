package release_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder"
	"laminate/builder/release"
)

// meddling calls a function after each push.
type meddling struct {
	registry
	after func(repository string)
}

func (m meddling) Push(ctx context.Context, repository string, images []release.Image) error {
	if err := m.registry.Push(ctx, repository, images); err != nil {
		return err
	}
	m.after(repository)
	return nil
}

// after calls a function after each push.
func after(f func(repository string)) change {
	return func(o *release.Options) { o.Registry = meddling{o.Registry.(registry), f} }
}

// isManifestOf reports whether a request reads a manifest, or tags, of a repository.
func isManifestOf(r *http.Request, repository string) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		(strings.HasPrefix(r.URL.Path, "/v2/"+repository+"/manifests/") || strings.HasPrefix(r.URL.Path, "/v2/"+repository+"/tags/"))
}

var _ = Describe("nothing is tagged", func() {
	var l *lab
	var toml string
	BeforeEach(func() {
		l = newLab()
		toml = l.toml("builder mirror", variants) + l.javaTOML("java")
	})

	It("and nothing pushed, if a builder has too many layers", func() {
		o := l.run(l.javaTOML("java")+l.toml("builder", "max-layers = 4", variants), "1.0.0")
		Expect(errors.As(o.err, new(*builder.OverBudgetError))).To(BeTrue(), "%v", o.err)
		Expect(o.err).To(MatchError(ContainSubstring("full: too many layers: 5, the limit is 4")))
		expectReadsOnly(l.Traffic)
	})

	It("and nothing pushed, if files are missing or wrong; all are named", func() {
		l.Write("package.toml", "[buildpack]\nuri = 'missing'\n")
		l.Write("builder.toml", "[build]\n")
		o := l.run(toml, "1.0.0")
		Expect(o.err).To(MatchError(And(ContainSubstring("full: "), ContainSubstring("buildpackless-full: "), ContainSubstring("java: "))))
		expectReadsOnly(l.Traffic)
	})

	It("and nothing pushed, if this machine cannot build the apps", func() {
		l.Write("app/file", "")
		other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
		o := l.run(l.toml("builder", "targets = ['linux/"+other+"']\n[[builders.smoke]]\napp = 'app'"), "1.0.0")
		Expect(o.err).To(MatchError("full: no image for linux/" + runtime.GOARCH + ", on which the apps could be built; release on another machine, or without smoke"))
		expectReadsOnly(l.Traffic)
	})

	It("if the registry does not give back what it got", func() {
		l.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, "/v2/java/blobs/") {
				return false
			}
			_, _ = w.Write(bytes.Repeat([]byte("x"), 100))
			return true
		})
		o := l.run(toml, "1.0.0")
		Expect(o.err).To(HaveOccurred())
		Expect(o.Published).To(BeFalse())
		l.Before(nil)
		Expect(l.names()).To(BeEmpty())
		By("and the next run finishes")
		Expect(l.succeed(toml, "1.0.0").Items).To(HaveLen(3))
	})

	It("if a layer is damaged, which the report shows", func() {
		l.succeed(l.toml("builder"), "0.1.0")
		layer := workLayer(l)
		l.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/blobs/"+layer.Digest.String()) {
				return false
			}
			_, _ = w.Write(bytes.Repeat([]byte("x"), int(layer.Size)))
			return true
		})
		o := l.run(l.toml("builder"), "0.2.0", force)
		l.Before(nil)
		var failed *release.FailedError
		Expect(errors.As(o.err, &failed)).To(BeTrue(), "%v", o.err)
		Expect(o.err).To(MatchError("full: what arrived is broken; no tag was written"))
		Expect(o.Items[0].Passed()).To(BeFalse())
		Expect(o.Items[0].Verified[0].OK).To(BeFalse())
		Expect(l.names()).To(Equal([]string{"builder:0.1.0-full", "builder:full"}))
	})

	It("if another run has released the version meanwhile", func() {
		tag := func(repository string) {
			if repository == l.Host+"/mirror" {
				ref, err := name.NewTag(repository + ":1.0.0-full")
				Expect(err).NotTo(HaveOccurred())
				Expect(remote.Write(ref, empty.Image)).To(Succeed())
			}
		}
		o := l.run(toml, "1.0.0", after(tag))
		Expect(o.err).To(MatchError(MatchRegexp(`full: tag \S+/mirror:1.0.0-full points to sha256:\S+, not to sha256:\S+; release another version, or use --force`)))
		Expect(l.names()).To(Equal([]string{"mirror:1.0.0-full"}))
	})

	It("if it is cancelled while an image is pushed", func() {
		ctx, cancel := context.WithCancelCause(context.Background())
		why := errors.New("enough")
		o := l.runIn(ctx, toml, "1.0.0", after(func(string) { cancel(why) }))
		Expect(errors.Is(o.err, why) || errors.Is(o.err, context.Canceled)).To(BeTrue(), "%v", o.err)
		Expect(errors.As(o.err, new(*release.FailedError))).To(BeFalse())
		Expect(l.names()).To(BeEmpty())
	})

	It("if the registry cannot be reached for the tags that there are", func() {
		l.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/tags/list") {
				w.WriteHeader(http.StatusInternalServerError)
			}
			return strings.HasSuffix(r.URL.Path, "/tags/list")
		})
		Expect(l.run(toml, "1.0.0").err).To(MatchError(And(ContainSubstring("full: "), ContainSubstring("500"))))
		expectReadsOnly(l.Traffic)
	})
})

// workLayer describes the topmost layer of builder:full.
func workLayer(l *lab) v1.Descriptor {
	GinkgoHelper()
	m, err := l.image("builder:full").Manifest()
	Expect(err).NotTo(HaveOccurred())
	return m.Layers[len(m.Layers)-1]
}

var _ = Describe("a registry", func() {
	var l *lab
	var toml string
	BeforeEach(func() {
		l = newLab()
		toml = l.toml("builder mirror", variants)
	})

	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		It("may refuse to show repositories that a push creates: "+http.StatusText(status), func() {
			var pushed atomic.Bool
			l.Before(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut || r.Method == http.MethodPost {
					pushed.Store(true)
				}
				hidden := isManifestOf(r, "builder") && !pushed.Load()
				if hidden {
					w.WriteHeader(status)
				}
				return hidden
			})
			l.succeed(toml, "1.0.0")
		})

		It("that refuses to show a version tag after a push may have one, which is kept: "+http.StatusText(status), func() {
			l.succeed(toml, "1.0.0")
			before := l.tags()
			l.Write("acme_a@1.0.0/lib/data", "changed")
			l.Before(func(w http.ResponseWriter, r *http.Request) bool {
				hidden := isManifestOf(r, "mirror") && strings.Contains(r.URL.Path, "1.0.0-full")
				if hidden {
					w.WriteHeader(status)
				}
				return hidden
			})
			// The builder's own tag is in the way, so the first repository is another one.
			other := l.toml("mirror", variants)
			o := l.run(other, "1.0.0")
			Expect(o.err).To(MatchError(MatchRegexp(`^full: tag \S+/mirror:1.0.0-full cannot be read, and may exist: .*; --force writes it$`)))
			l.Before(nil)
			Expect(l.tags()).To(Equal(before))
			l.succeed(other, "1.0.0", force)
		})
	}

	It("may have no lists of tags", func() {
		l.succeed(toml, "1.0.0")
		l.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/tags/list") {
				w.WriteHeader(http.StatusMethodNotAllowed)
			}
			return strings.HasSuffix(r.URL.Path, "/tags/list")
		})
		o := l.run(toml, "1.1.0")
		Expect(o.err).NotTo(HaveOccurred())
		Expect(o.State).To(Equal(release.Unchanged))
	})

	It("may answer GET only", func() {
		l.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/manifests/") {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return true
			}
			return false
		})
		l.succeed(toml, "1.0.0")
		Expect(l.run(toml, "1.0.0").State).To(Equal(release.Released))
	})
})
