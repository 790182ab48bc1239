package packager_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/flatten"
	"laminate/packager"
	"laminate/packager/cache"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/source"
)

// filled is a bench whose cache knows of two plans: of a registry's package, of
// a directory, and of layers that nothing is said of.
type filled struct {
	*bench
	file string // the package.toml
	want string // the digest
}

func fill() filled {
	GinkgoHelper()
	b := newBench()
	host := fixtures.Registry(GinkgoT())
	b.Composite("acme/root@1", "acme/a@1", "acme/b@1", "acme/d@1")
	deps := []string{push(b.lone("acme/a@1", gzip9), host+"/acme/a:1"), push(b.lone("acme/b@1", gzip9), host+"/acme/b:1"), b.large("acme/d@1")}
	f := filled{bench: b, file: b.toml("acme_root@1", deps...)}
	f.want = digestOf(b.build(f.file, flat(flatten.All)).Image)
	for _, c := range []change{exclude("acme/a"), both(flat(flatten.All), exclude("acme/b")), flat(flatten.None)} {
		b.build(f.file, flat(flatten.All), c, b.cached("cache"))
	}
	return f
}

// inCache lists the files in a part of the cache.
func (b *bench) inCache(part string) (files []string) {
	GinkgoHelper()
	Expect(filepath.WalkDir(b.At("cache/v1/"+part), func(file string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, file)
		}
		return err
	})).To(Succeed())
	return files
}

// lie changes the records of all entries whose key begins with a word, and
// seals them, and tells of how many.
func (b *bench) lie(kind string, change func(record map[string]any)) (changed int) {
	GinkgoHelper()
	for _, file := range b.inCache("entries") {
		data, err := os.ReadFile(file)
		Expect(err).NotTo(HaveOccurred())
		_, body, _ := bytes.Cut(data, []byte("\n"))
		var e struct {
			Key    string          `json:"key"`
			Record map[string]any  `json:"record"`
			Blob   json.RawMessage `json:"blob,omitempty"`
		}
		Expect(json.Unmarshal(body, &e)).To(Succeed())
		if !strings.HasPrefix(e.Key, kind+" ") {
			continue
		}
		changed++
		change(e.Record)
		body, err = json.Marshal(e)
		Expect(err).NotTo(HaveOccurred())
		sum := sha256.Sum256(body)
		Expect(os.WriteFile(file, append([]byte(hex.EncodeToString(sum[:])+"\n"), body...), 0o600)).To(Succeed())
	}
	return changed
}

var _ = Describe("a cache that was spoiled", Ordered, func() {
	var f filled
	BeforeAll(func() {
		f = fill()
		Expect(os.Rename(f.At("cache"), f.At("whole"))).To(Succeed())
	})
	BeforeEach(func() {
		Expect(os.RemoveAll(f.At("cache"))).To(Succeed())
		Expect(os.CopyFS(f.At("cache"), os.DirFS(f.At("whole")))).To(Succeed())
		Expect(os.Chmod(f.At("cache/v1"), 0o700)).To(Succeed())
	})

	damage := map[string]func(r *rand.Rand, content []byte) []byte{
		"bits flipped": func(r *rand.Rand, c []byte) []byte { c[r.IntN(len(c))] ^= 1 << r.IntN(8); return c },
		"cut off":      func(r *rand.Rand, c []byte) []byte { return c[:r.IntN(len(c))] },
		"longer":       func(_ *rand.Rand, c []byte) []byte { return append(c, c...) },
	}
	for name, spoil := range damage {
		It("is as good as none: "+name, func() {
			r := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 0))
			for _, part := range []string{"blobs", "entries"} {
				for _, file := range f.inCache(part) {
					content, err := os.ReadFile(file)
					Expect(err).NotTo(HaveOccurred())
					Expect(os.Remove(file)).To(Succeed()) // it may have other names
					Expect(os.WriteFile(file, spoil(r, content), 0o600)).To(Succeed())
				}
				for range 2 {
					Expect(digestOf(f.build(f.file, flat(flatten.All), f.cached("cache")).Image)).To(Equal(f.want))
				}
			}
		})
	}

	It("is as good as none: each file in the place of another", func() {
		for _, part := range []string{"blobs", "entries"} {
			files := f.inCache(part)
			Expect(len(files)).To(BeNumerically(">", 1))
			first := files[0] + ".first"
			Expect(os.Rename(files[0], first)).To(Succeed())
			for i := range files[1:] {
				Expect(os.Rename(files[i+1], files[i])).To(Succeed())
			}
			Expect(os.Rename(first, files[len(files)-1])).To(Succeed())
			Expect(digestOf(f.build(f.file, flat(flatten.All), f.cached("cache")).Image)).To(Equal(f.want))
		}
	})

	// Only the user can write there. Still no lie must lead to an image that
	// holds another content than it says.
	facts := func(change func(facts map[string]any)) func(map[string]any) {
		return func(record map[string]any) {
			if one, is := record["Facts"].(map[string]any); is {
				change(one)
			}
			if many, is := record["Pieces"].([]any); is {
				change(many[0].(map[string]any))
			}
		}
	}
	other := "sha256:" + strings.Repeat("ab", 32)
	DescribeTable("makes no wrong image where its records lie under a seal", func(kind string, lie func(map[string]any)) {
		Expect(f.lie(kind, lie)).To(BeNumerically(">", 0))
		for range 2 {
			Expect(digestOf(f.build(f.file, flat(flatten.All), f.cached("cache")).Image)).To(Equal(f.want))
			f.build(f.file, flat(flatten.None), f.cached("cache"))
		}
	},
		Entry("of where a piece lies", "piece", func(r map[string]any) { r["Offset"] = r["Offset"].(float64) + 1 }),
		Entry("of a piece before the beginning", "piece", func(r map[string]any) { r["Offset"] = -1 }),
		Entry("of a piece at the end of the world", "piece", func(r map[string]any) { r["Offset"] = int64(1<<63 - 1) }),
		Entry("of how long a piece is there", "piece", func(r map[string]any) { r["Packed"] = r["Packed"].(float64) - 10 }),
		Entry("of how long it is, less than nothing", "piece", func(r map[string]any) { r["Packed"] = -5 }),
		Entry("of a piece's length", "piece", facts(func(f map[string]any) { f["Length"] = f["Length"].(float64) - 512 })),
		Entry("of a piece's length, no whole block", "piece", facts(func(f map[string]any) { f["Length"] = 7 })),
		Entry("of a piece's content", "piece", facts(func(f map[string]any) { f["ContentID"] = other })),
		Entry("of whose a piece is", "piece", facts(func(f map[string]any) { f["Ref"] = map[string]any{"ID": "acme/a", "Version": "2"} })),
		Entry("of a layer of a piece", "piece", func(r map[string]any) { r["Layer"] = "layer none" }),
		Entry("of a layer's digest", "layer", func(r map[string]any) { r["Digest"] = other }),
		Entry("of a layer's size", "layer", func(r map[string]any) { r["Size"] = 1 << 40 }),
		Entry("of a layer's compression", "layer", func(r map[string]any) { r["Compression"] = "zstd" }),
		Entry("of a layer's refs", "layer", facts(func(f map[string]any) { f["Ref"] = map[string]any{"ID": "acme/z", "Version": "2"} })),
		Entry("of a directory's content", "layer", func(r map[string]any) {
			for _, p := range r["Pieces"].([]any) {
				p.(map[string]any)["ContentID"] = other
			}
		}),
		Entry("of what is packed", "layer", func(r map[string]any) { r["Packed"] = []int{} }),
		Entry("of no pieces", "layer", func(r map[string]any) { r["Pieces"], r["Packed"] = nil, nil }),
		Entry("of what a layer holds", "report", facts(func(f map[string]any) { f["Ref"] = map[string]any{"ID": "acme/z", "Version": "2"} })),
		Entry("of a layer without anything", "report", func(r map[string]any) { r["Pieces"] = nil }),
		Entry("of a tidy layer", "report", func(r map[string]any) { r["NonCanonical"] = "it is not" }),
	)

	It("is found out when a layer goes by whose content a record lies of", func() {
		Expect(f.lie("report", facts(func(f map[string]any) { f["ContentID"] = other }))).To(BeNumerically(">", 0))
		Expect(f.fails(f.file, flat(flatten.None), f.cached("cache"))).To(MatchError(ContainSubstring("other content")))
	})
})

// The environment of a run beside the tests, in a process of its own.
const besideFile, besideCache, besideWork = "LAMINATE_TEST_FILE", "LAMINATE_TEST_CACHE", "LAMINATE_TEST_WORK"

// beside packages what a package.toml says, and prints the digest.
func beside() error {
	config, err := config.ReadPackage(os.Getenv(besideFile))
	if err != nil {
		return err
	}
	c, err := cache.Open(os.Getenv(besideCache), 0)
	if err != nil {
		return err
	}
	work := os.Getenv(besideWork)
	o := packager.Options{Config: config, Options: engine.Options{WorkDir: work, Cache: c, Grouping: flatten.Grouping{Mode: flatten.All}}}
	jobs, err := packager.Prepare(context.Background(), &source.Opener{WorkDir: work, Cache: c}, o)
	if err != nil {
		return err
	}
	img, err := jobs[0].Build(context.Background())
	if err != nil {
		return err
	}
	d, err := img.Digest()
	fmt.Println(d)
	return err
}

func startBeside(file, cache string, out io.Writer) *exec.Cmd {
	GinkgoHelper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), besideFile+"="+file, besideCache+"="+cache, besideWork+"="+GinkgoT().TempDir())
	cmd.Stdout, cmd.Stderr = out, GinkgoWriter
	Expect(cmd.Start()).To(Succeed())
	return cmd
}

var _ = Describe("runs with one cache", Ordered, func() {
	var f filled
	BeforeAll(func() {
		f = fill()
		f.want += "\n"
	})

	It("beside each other give the same digest", func() {
		for range 2 {
			var out [3]bytes.Buffer
			var runs []*exec.Cmd
			for i := range out {
				runs = append(runs, startBeside(f.file, f.At("shared"), &out[i]))
			}
			for i, r := range runs {
				Expect(r.Wait()).To(Succeed())
				Expect(out[i].String()).To(Equal(f.want))
			}
		}
	})

	It("may be killed while they fill it", func() {
		var one bytes.Buffer
		start := time.Now()
		Expect(startBeside(f.file, f.At("timed"), &one).Wait()).To(Succeed())
		took := time.Since(start)
		random := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 0))
		killed := 0
		for i := range time.Duration(6) {
			run := startBeside(f.file, f.At("fresh"), io.Discard)
			time.Sleep((i*took + time.Duration(random.Int64N(int64(took)))) / 12)
			Expect(run.Process.Kill()).To(Or(Succeed(), MatchError(os.ErrProcessDone)))
			_ = run.Wait()
			if status, is := run.ProcessState.Sys().(syscall.WaitStatus); is && status.Signaled() {
				killed++
			}
		}
		Expect(killed).To(BeNumerically(">", 0))
		for range 2 {
			var out bytes.Buffer
			Expect(startBeside(f.file, f.At("fresh"), &out).Wait()).To(Succeed())
			Expect(out.String()).To(Equal(f.want))
		}
	})
})

var _ = Describe("a registry out of which pieces are copied", func() {
	It("returns no other image where it breaks off or gives other bytes, nor is one kept", func() {
		b := newBench()
		r := fixtures.CountedRegistry(GinkgoT())
		theirs := b.lone("acme/a@1", gzip9)
		b.Component("acme/b@1")
		b.Composite("acme/root@1", "acme/a@1", "acme/b@1")
		file := b.toml("acme_root@1", push(theirs, r.Host+"/acme/a:1"), "acme_b@1")
		want := digestOf(b.build(file, flat(flatten.All)).Image)
		blob := blobContent(theirs)
		for _, at := range []int{9, 20, len(blob) / 2, len(blob) - 5} {
			spoiled := bytes.Clone(blob)
			spoiled[at] ^= 1
			once := true
			r.Before(func(w http.ResponseWriter, req *http.Request) bool {
				if !once || req.Method != http.MethodGet || !strings.HasSuffix(req.URL.Path, blobsOf(theirs)[0]) {
					return false
				}
				once = false
				_, err := w.Write(spoiled)
				Expect(err).NotTo(HaveOccurred())
				return true
			})
			err := b.fails(file, flat(flatten.All), b.cached("cache"))
			Expect(err).To(MatchError(ContainSubstring("acme/a:1")), "at %d", at)
		}
		broken := false
		r.Before(func(w http.ResponseWriter, req *http.Request) bool {
			if req.Method != http.MethodGet || !strings.HasSuffix(req.URL.Path, blobsOf(theirs)[0]) {
				return false
			}
			if broken { // it goes on from there
				http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(blob))
				return true
			}
			broken = true
			_, _ = w.Write(blob[:len(blob)/2])
			panic(http.ErrAbortHandler)
		})
		Expect(digestOf(b.build(file, flat(flatten.All), b.cached("broken")).Image)).To(Equal(want))
		Expect(broken).To(BeTrue())
		r.Before(nil)
		Expect(digestOf(b.build(file, flat(flatten.All), b.cached("cache")).Image)).To(Equal(want))
	})
})

// blobContent is the blob of an image's only layer.
func blobContent(img v1.Image) []byte {
	GinkgoHelper()
	layers, err := img.Layers()
	Expect(err).NotTo(HaveOccurred())
	rc, err := layers[0].Compressed()
	Expect(err).NotTo(HaveOccurred())
	defer rc.Close()
	content, err := io.ReadAll(rc)
	Expect(err).NotTo(HaveOccurred())
	return content
}
