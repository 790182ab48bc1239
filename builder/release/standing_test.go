package release_test

import (
	"errors"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/release"
)

var _ = Describe("what is released", func() {
	var l *lab
	var toml string
	var first outcome
	BeforeEach(func() {
		l = newLab()
		toml = l.toml("builder mirror", variants) + l.javaTOML("java")
		first = l.succeed(toml, "1.0.0")
		l.Reset()
	})
	change := func() { l.Write("acme_a@1.0.0/lib/data", "changed") }

	It("is done, when it is asked for again", func() {
		before := l.tags()
		l.Reset()
		o := l.run(toml, "1.0.0")
		Expect(o.err).NotTo(HaveOccurred())
		Expect(o.State).To(Equal(release.Released))
		Expect(o.Published).To(BeFalse())
		expectReadsOnly(l.Traffic)
		Expect(l.tags()).To(Equal(before))
	})

	It("is not released under another version", func() {
		before := l.tags()
		l.Reset()
		for _, version := range []string{"1.0.1", "2.0.0-rc.1", ""} {
			o := l.run(toml, version)
			Expect(o.err).NotTo(HaveOccurred())
			Expect(o.State).To(Equal(release.Unchanged))
			Expect(o.Items[0].Last).To(Equal(l.Host + "/builder:1.0.0-full"))
			Expect(o.Items[0].Changes.Identical).To(BeTrue())
		}
		expectReadsOnly(l.Traffic)
		Expect(l.tags()).To(Equal(before))
	})

	It("is released under another version by force", func() {
		o := l.succeed(toml, "1.0.1", force)
		Expect(l.tags()).To(HaveKeyWithValue("mirror:1.0.1-full", first.Items[0].Digest))
		Expect(o.Items[0].Digest).To(Equal(first.Items[0].Digest))
	})

	It("is left as it is if it has changed and there is no version", func() {
		change()
		before := l.tags()
		l.Reset()
		o := l.run(toml, "")
		Expect(errors.Is(o.err, release.ErrNoVersion)).To(BeTrue(), "%v", o.err)
		expectReadsOnly(l.Traffic)
		Expect(l.tags()).To(Equal(before))
	})

	It("keeps its version, unless by force", func() {
		change()
		before := l.tags()
		l.Reset()
		o := l.run(toml, "1.0.0")
		Expect(o.err).To(MatchError(MatchRegexp(`^full: tag \S+/builder:1\.0\.0-full points to sha256:\S+, not to sha256:\S+; release another version, or use --force\nfull: tag \S+/mirror:1.0.0-full[^\n]*\njava: tag \S+/java:1.0.0 [^\n]*$`)))
		expectReadsOnly(l.Traffic)
		Expect(l.tags()).To(Equal(before))

		o = l.succeed(toml, "1.0.0", force)
		tags := l.tags()
		Expect(tags).To(HaveKeyWithValue("mirror:1.0.0-full", o.Items[0].Digest))
		Expect(tags).To(HaveKeyWithValue("java:latest", o.Items[2].Digest))
		Expect(o.Items[0].Digest).NotTo(Equal(first.Items[0].Digest))
	})

	It("is followed by what has changed, with the changes, and the rest as it was", func() {
		change()
		o := l.succeed(toml, "1.1.0")
		tags := l.tags()
		Expect(tags).To(HaveLen(15))
		Expect(tags).To(HaveKeyWithValue("builder:1.0.0-full", first.Items[0].Digest))
		Expect(tags).To(HaveKeyWithValue("builder:1.1.0-full", o.Items[0].Digest))
		Expect(tags).To(HaveKeyWithValue("mirror:full", o.Items[0].Digest))
		Expect(o.Items[0].LastDigest).To(Equal(first.Items[0].Digest))
		Expect(o.Items[0].Changes.Images[0].Layers.New).To(Equal(1))
		Expect(o.Items[1].Digest).To(Equal(first.Items[1].Digest), "the buildpackless variant has not changed")
		Expect(o.Items[1].Changes.Identical).To(BeTrue())
		Expect(tags).To(HaveKeyWithValue("builder:1.1.0-buildpackless-full", first.Items[1].Digest))
	})

	It("keeps the tags that move with the newest version, when an old release is repeated or amended", func() {
		change()
		l.succeed(toml, "2.0.0")
		before := l.tags()
		l.Write("acme_a@1.0.0/lib/data", strings.Repeat("acme/a@1.0.0\n", 100)) // as it was
		o := l.run(toml, "1.0.0")
		Expect(o.err).NotTo(HaveOccurred())
		Expect(o.State).To(Equal(release.Released))
		Expect(l.tags()).To(Equal(before))
		l.Write("acme_a@1.0.0/lib/data", "amended")
		l.Log.Warnings = nil
		o = l.succeed(toml, "1.0.1")
		Expect(l.Log.Warnings).To(ContainElement("full: 2.0.0 is released, which is newer; only tags with the version are written"))
		after := l.tags()
		Expect(after).To(HaveKeyWithValue("mirror:1.0.1-full", o.Items[0].Digest))
		Expect(after["mirror:full"]).To(Equal(before["mirror:full"]))
		Expect(after["java:latest"]).To(Equal(before["java:latest"]))
		Expect(o.Items[0].Last).To(HaveSuffix("/builder:1.0.0-full"))
		o = l.succeed(toml, "1.0.1", force)
		Expect(l.tags()).To(HaveKeyWithValue("mirror:full", o.Items[0].Digest))
	})

	It("keeps the tags that move with a newer version that is released meanwhile", func() {
		change()
		newer := func(repository string) {
			if repository == l.Host+"/mirror" {
				l.Keep(empty.Image, "docker://"+l.Host+"/builder:2.0.0-full")
				l.Keep(empty.Image, "docker://"+l.Host+"/builder:full")
			}
		}
		before := l.tags()
		o := l.succeed(toml, "1.0.1", after(newer))
		now := l.tags()
		Expect(now["builder:full"]).To(Equal(now["builder:2.0.0-full"]))
		Expect(now["mirror:full"]).To(Equal(before["mirror:full"]))
		Expect(now).To(HaveKeyWithValue("mirror:1.0.1-full", o.Items[0].Digest))
		Expect(now).To(HaveKeyWithValue("java:latest", o.Items[2].Digest))
		Expect(o.Items[0].Tags).To(ConsistOf(l.Host+"/builder:1.0.1-full", l.Host+"/mirror:1.0.1-full"))
	})

	It("is not taken for done by a run without a version, if another repository lacks the version", func() {
		toml := l.toml("pinned copy", "tags = ['{version}']")
		l.succeed(toml, "1.0.0")
		change()
		l.Before(func(w http.ResponseWriter, r *http.Request) bool {
			refused := r.Method == http.MethodPut && r.URL.Path == "/v2/copy/manifests/1.0.1"
			if refused {
				w.WriteHeader(http.StatusForbidden)
			}
			return refused
		})
		Expect(l.run(toml, "1.0.1").err).To(HaveOccurred())
		l.Before(nil)
		Expect(l.run(toml, "").err).To(MatchError(release.ErrNoVersion))
		l.succeed(toml, "1.0.1")
		Expect(l.names()).To(ContainElements("pinned:1.0.1", "copy:1.0.1"))
	})

	It("may get another repository, under the version that it has", func() {
		more := l.toml("builder mirror third", variants) + l.javaTOML("java")
		before := l.tags()
		l.Reset()
		o := l.succeed(more, "1.0.0")
		Expect(o.Items[0].Digest).To(Equal(first.Items[0].Digest))
		after := l.tags()
		Expect(after).To(HaveLen(len(before) + 4))
		Expect(after).To(HaveKeyWithValue("third:full", first.Items[0].Digest))
	})

	It("may get another target, and the other way around", func() {
		more := l.toml("builder", "targets = ['linux/amd64', 'linux/arm64']")
		o := l.succeed(more, "1.1.0")
		Expect(o.Items[0].Changes.AddedTargets).To(Equal([]string{"linux/arm64"}))
		o = l.succeed(l.toml("builder", "targets = ['linux/arm64']"), "1.2.0")
		Expect(o.Items[0].Changes.RemovedTargets).To(Equal([]string{"linux/amd64"}))
	})

	It("may be what another tool has made, or something else altogether", func() {
		base := l.image("java:latest")
		for _, ref := range []string{"other:full"} {
			l.Keep(base, "docker://"+l.Host+"/"+ref)
		}
		o := l.succeed(l.toml("other"), "1.0.0")
		Expect(o.Items[0].Last).To(Equal(l.Host + "/other:full"))
	})

	It("is found without moving tags", func() {
		toml := l.toml("pinned", "tags = ['{version}']")
		l.succeed(toml, "1.0.0")
		o := l.run(toml, "1.0.1")
		Expect(o.err).NotTo(HaveOccurred())
		Expect(o.State).To(Equal(release.Unchanged))
		change()
		l.succeed(toml, "1.0.1")
		Expect(l.names()).To(ContainElements("pinned:1.0.0", "pinned:1.0.1"))
	})

	It("is found without version tags", func() {
		toml := l.toml("edge", "tags = ['edge']")
		l.succeed(toml, "1.0.0")
		o := l.run(toml, "1.0.1")
		Expect(o.err).NotTo(HaveOccurred())
		Expect(o.State).To(BeElementOf(release.Unchanged, release.Released))
		change()
		l.succeed(toml, "1.0.1")
	})

	It("needs a version that a tag can hold", func() {
		for version, want := range map[string]string{
			"1.0":           `invalid version "1.0"; write a semantic version, as in 1.2.3`,
			"1":             `invalid version "1"; write a semantic version, as in 1.2.3`,
			"next":          `invalid version "next"; write a semantic version, as in 1.2.3`,
			"1.0.0\nx=y":    `invalid version "1.0.0\nx=y"; write a semantic version, as in 1.2.3`,
			"1.0.0+linux.1": `invalid version "1.0.0+linux.1"; tags cannot hold +`,
		} {
			Expect(l.run(toml, version).err).To(MatchError(want))
		}
		Expect(l.run(toml, "1.0.0-"+strings.Repeat("x", 150)).err).To(MatchError(And(HavePrefix(`full: invalid tag "1.0.0-xxx`), HaveSuffix("tags have at most 128 characters"))))
		Expect(l.Requests(nil)).To(BeEmpty())
	})

	It("has tags of its own, also with the version", func() {
		more := l.toml("builder") + "[[builders]]\nname = 'other'\nconfig = 'builder.toml'\nrepositories = [" + l.repositories("builder") + "]\ntags = ['1.1.0-full']\n"
		Expect(l.run(more, "1.1.0").err).To(MatchError("other: tag " + l.Host + "/builder:1.1.0-full is that of full as well"))
		Expect(l.Requests(nil)).To(BeEmpty())
	})

	It("moves few bytes where nothing has changed", func() {
		Expect(l.run(toml, "1.0.1").err).NotTo(HaveOccurred())
		down, up := l.Layers()
		Expect(down + up).To(BeZero())
	})
})
