package cache_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/cache"
)

// levels is a directory of levels, of which the cache directory is the third.
type levels struct{ top, parent, dir string }

func makeLevels() levels {
	GinkgoHelper()
	top, err := filepath.EvalSymlinks(GinkgoT().TempDir())
	Expect(err).NotTo(HaveOccurred())
	l := levels{top, filepath.Join(top, "home"), filepath.Join(top, "home", "cache")}
	Expect(os.Mkdir(l.parent, 0o755)).To(Succeed())
	return l
}

// use opens a cache in the directory, and keeps something in it.
func (l levels) use() {
	GinkgoHelper()
	c, err := cache.Open(l.dir, 0)
	Expect(err).NotTo(HaveOccurred())
	keep(c, "piece a", "content", record{})
	Expect(c.Close(ctx)).To(Succeed())
}

func chmod(name string, mode fs.FileMode) {
	GinkgoHelper()
	Expect(os.Chmod(name, mode)).To(Succeed())
}

// chown returns a file to another user, or to a group where the user is 0.
func chown(name string, uid, gid int) {
	GinkgoHelper()
	if os.Geteuid() != 0 {
		Skip("only root can give files to other users")
	}
	Expect(os.Chown(name, uid, gid)).To(Succeed())
}

// moveOut puts a symbolic link in the place of a directory, which it moves away.
func moveOut(l levels, name string) {
	GinkgoHelper()
	away := filepath.Join(l.top, "away")
	Expect(os.Rename(name, away)).To(Succeed())
	Expect(os.Symlink(away, name)).To(Succeed())
}

var _ = Describe("the levels of a cache directory", func() {
	DescribeTable("are refused where other users have a say in them",
		func(why string, spoil func(levels) string) {
			l := makeLevels()
			l.use()
			at := spoil(l)
			c, err := cache.Open(l.dir, 0)
			Expect(err).To(MatchError(at + ": " + why))
			Expect(c).To(BeNil())
		},
		Entry("a parent of another user", "owned by another user", func(l levels) string {
			chown(l.parent, 1000, 1000)
			return l.parent
		}),
		Entry("the directory of another user", "owned by another user", func(l levels) string {
			chown(l.dir, 1000, 1000)
			return l.dir
		}),
		Entry("v1 of another user", "owned by another user", func(l levels) string {
			chown(l.dir+"/v1", 1000, 1000)
			return l.dir + "/v1"
		}),
		Entry("v1/tmp of another user", "owned by another user", func(l levels) string {
			chown(l.dir+"/v1/tmp", 1000, 1000)
			return l.dir + "/v1/tmp"
		}),
		Entry("v1/blobs/sha256 of another user", "owned by another user", func(l levels) string {
			chown(l.dir+"/v1/blobs/sha256", 1000, 1000)
			return l.dir + "/v1/blobs/sha256"
		}),
		Entry("a parent that every user can write to", "writable by all users", func(l levels) string {
			chmod(l.parent, 0o777)
			return l.parent
		}),
		Entry("v1 with the sticky bit that every user can write to", "writable by all users", func(l levels) string {
			chmod(l.dir+"/v1", 0o777|fs.ModeSticky)
			return l.dir + "/v1"
		}),
		Entry("v1/entries that every user can write to", "writable by all users", func(l levels) string {
			chmod(l.dir+"/v1/entries", 0o777)
			return l.dir + "/v1/entries"
		}),
		Entry("a parent that another group can write to", "writable by its group", func(l levels) string {
			chown(l.parent, 0, 1000)
			chmod(l.parent, 0o775)
			return l.parent
		}),
		Entry("v1 that another group can write to", "writable by its group", func(l levels) string {
			chown(l.dir+"/v1", 0, 1000)
			chmod(l.dir+"/v1", 0o775)
			return l.dir + "/v1"
		}),
		Entry("a link of another user above it", "owned by another user", func(l levels) string {
			moveOut(l, l.parent)
			if os.Geteuid() != 0 {
				Skip("only root can give files to other users")
			}
			Expect(os.Lchown(l.parent, 1000, 1000)).To(Succeed())
			return l.parent
		}),
		Entry("a link at it", "is a symbolic link; use the directory that it points to", func(l levels) string {
			moveOut(l, l.dir)
			return l.dir
		}),
		Entry("a link at v1", "is a symbolic link; remove it", func(l levels) string {
			moveOut(l, l.dir+"/v1")
			return l.dir + "/v1"
		}),
		Entry("a link at v1/tmp", "is a symbolic link; remove it", func(l levels) string {
			moveOut(l, l.dir+"/v1/tmp")
			return l.dir + "/v1/tmp"
		}),
	)

	DescribeTable("may be",
		func(arrange func(levels)) {
			l := makeLevels()
			arrange(l)
			l.use()
			Expect(only(l.dir, "blobs")).To(BeAnExistingFile())
			l.use()
		},
		Entry("missing", func(l levels) { Expect(os.Remove(l.parent)).To(Succeed()) }),
		Entry("beneath a parent with the sticky bit", func(l levels) { chmod(l.parent, 0o777|fs.ModeSticky) }),
		Entry("beneath a parent that root's group can write to", func(l levels) {
			chown(l.parent, 0, 0)
			chmod(l.parent, 0o775)
		}),
		Entry("beneath a parent that this user's group can write to", func(l levels) {
			Expect(os.Chown(l.parent, -1, os.Getegid())).To(Succeed())
			chmod(l.parent, 0o775)
		}),
		Entry("behind a link of this user", func(l levels) { moveOut(l, l.parent) }),
		Entry("behind a relative link of this user", func(l levels) {
			Expect(os.Rename(l.parent, l.top+"/away")).To(Succeed())
			Expect(os.Symlink("../"+filepath.Base(l.top)+"/away", l.parent)).To(Succeed())
		}),
		Entry("behind a link that leads up out of where another link points to", func(l levels) {
			Expect(os.MkdirAll(l.top+"/elsewhere/deep", 0o755)).To(Succeed())
			Expect(os.Symlink("elsewhere/deep", l.top+"/there")).To(Succeed())
			Expect(os.Rename(l.parent, l.top+"/elsewhere/away")).To(Succeed())
			Expect(os.Symlink("there/../away", l.parent)).To(Succeed())
		}),
	)

	It("end where links lead nowhere", func() {
		l := makeLevels()
		Expect(os.Remove(l.parent)).To(Succeed())
		Expect(os.Symlink("home", l.parent)).To(Succeed())
		_, err := cache.Open(l.dir, 0)
		Expect(err).To(MatchError(l.parent + ": too many symbolic links"))
	})
})

var _ = Describe("unfinished files", func() {
	It("of a killed run are removed by the next run, however young, and those of a living run are not", func() {
		dir := GinkgoT().TempDir()
		living := open(dir, 0)
		w := living.Create("piece a")
		Expect(w.Write([]byte("content of a piece"))).To(Equal(18))
		mine := only(dir, "tmp")
		var left []string
		for range 20 {
			cmd := startBeside(dir)
			Eventually(func() []string { return files(dir, "tmp") }).WithPolling(time.Millisecond).ShouldNot(ConsistOf(mine))
			Expect(kill(cmd)).To(BeTrue(), "it ended by itself")
			if left = files(dir, "tmp"); len(left) > 1 {
				break
			}
		}
		Expect(len(left)).To(BeNumerically(">", 1), "no run was killed while it wrote")
		open(dir, 0)
		Expect(only(dir, "tmp")).To(Equal(mine))
		w.Commit(record{"a", 1})
		content, _, ok := got(living, "piece a")
		Expect(ok).To(BeTrue())
		Expect(content).To(Equal("content of a piece"))
	})
})

var _ = Describe("A scratch directory that was removed", func() {
	It("is made anew once, also where two writers of the run miss it", func() {
		dir := GinkgoT().TempDir()
		c := open(dir, 0)
		makeFile := func(name string) error {
			return os.WriteFile(filepath.Join(dir, "v1", name), nil, 0o600)
		}
		var other string
		_, err := c.Unfinished(func(name string) error {
			if other != "" {
				return makeFile(name)
			}
			Expect(os.RemoveAll(filepath.Join(dir, "v1", filepath.Dir(name)))).To(Succeed())
			failed := makeFile(name)
			var err error
			other, err = c.Unfinished(makeFile) // by another writer, which is faster
			Expect(err).NotTo(HaveOccurred())
			return failed
		})
		Expect(err).NotTo(HaveOccurred())
		Expect(filepath.Join(dir, "v1", other)).To(BeARegularFile())
	})
})
