package rootfs_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"

	"laminate/builder/smoke/rootfs"
	"laminate/flatten"
	"laminate/packager/image"
)

// BenchmarkUnpack compares unpacking a builder of 100 layers and 500 MB with inflating and verifying
// its layers, as many at a time as there are processors. The builder is made of Go's own sources (in
// layers of the build image) and executables (in layers of buildpacks). The metric peak-MiB is the
// most memory that the process had, which includes the runtime of the tests.
//
//	go test ./builder/smoke/rootfs -run '^$' -bench Unpack -benchtime 1x -count 5
func BenchmarkUnpack(b *testing.B) {
	dir := benchLayout(b)
	measure := func(name string, do func(*image.Image) error) {
		b.Run(name, func(b *testing.B) {
			var used time.Duration
			for b.Loop() {
				b.StopTimer()
				img := fromLayout(b, dir)
				runtime.GC()
				_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // resets the peak
				before := cpuTime()
				b.StartTimer()
				if err := do(img); err != nil {
					b.Fatal(err)
				}
				used += cpuTime() - before
			}
			b.ReportMetric(used.Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric(peak(), "peak-MiB")
		})
	}
	measure("inflate", inflate)
	work := b.TempDir()
	var held *rootfs.Root
	measure("unpack", func(img *image.Image) (err error) {
		held, err = rootfs.Unpack(ctx, img, rootfs.Options{WorkDir: work})
		return err
	})
	b.Logf("%d entries, %d bytes, %d skipped", held.Entries, held.Bytes, held.Skipped)
}

// inflate reads all layers to their ends.
func inflate(img *image.Image) error {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, l := range img.Contents() {
		g.Go(func() error {
			rc, err := l.Open(ctx)
			if err != nil {
				return err
			}
			defer rc.Close()
			_, err = io.Copy(io.Discard, rc)
			return err
		})
	}
	return g.Wait()
}

// cpuTime returns the time that processors have spent on this process.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func peak() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib float64
	_, _ = fmt.Sscan(rest, &kib)
	return kib / 1024
}

func fromLayout(b *testing.B, dir string) *image.Image {
	b.Helper()
	index, err := layout.ImageIndexFromPath(dir)
	must(b, err)
	m, err := index.IndexManifest()
	must(b, err)
	raw, err := index.Image(m.Manifests[0].Digest)
	must(b, err)
	img, err := viewOf(raw)
	must(b, err)
	return img
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// benchLayout writes the builder as an OCI layout.
func benchLayout(b *testing.B) string {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	must(b, err)
	root := strings.TrimSpace(string(out))
	binaries, err := filepath.Glob(filepath.Join(root, "bin", "go"))
	must(b, err)
	tools, err := filepath.Glob(filepath.Join(root, "pkg", "tool", "*", "*"))
	must(b, err)
	binaries = append(binaries, tools...)

	img, label, total := empty.Image, "", int64(0)
	add := func(data []byte) v1.Hash {
		total += int64(len(data))
		var z bytes.Buffer
		w, _ := gzip.NewWriterLevel(&z, 6)
		_, err := w.Write(data)
		must(b, err)
		must(b, w.Close())
		diff, _, err := v1.SHA256(bytes.NewReader(data))
		must(b, err)
		img, err = mutate.Append(img, mutate.Addendum{Layer: zipped{static.NewLayer(z.Bytes(), types.OCILayer), diff}})
		must(b, err)
		return diff
	}
	for _, part := range []string{"src/cmd", "src/internal", "src/vendor", "src/crypto", "src/net", "src/runtime", "src/go"} {
		add(tarOfDir(b, root, part, "usr/lib/go"))
	}
	for i := range 92 {
		r := flatten.Ref{ID: fmt.Sprintf("acme/b%d", i), Version: "1.0.0"}
		at := flatten.Buildpack.Dir(r)
		entries := []entry{dir(path.Dir(at)), dir(at), dir(at + "/bin")}
		for n, size := 0, 0; size < 3_500_000; n++ {
			data, err := os.ReadFile(binaries[(i+n*7)%len(binaries)])
			must(b, err)
			data = data[:min(len(data), 1_200_000)]
			entries = append(entries, file(fmt.Sprintf("%s/bin/%d", at, n), fmt.Sprint(i)+string(data)))
			size += len(data)
		}
		for n := range 60 {
			entries = append(entries, file(fmt.Sprintf("%s/lib%d", at, n), strings.Repeat(fmt.Sprint(n, i, "\n"), 300)))
		}
		diff := add(seedTar(entries))
		label += fmt.Sprintf(",%q:{%q:{\"api\":\"0.10\",\"layerDiffID\":%q}}", r.ID, r.Version, diff)
	}
	add(seedTar([]entry{dir("/cnb"), file("/cnb/order.toml", "")}))
	config, err := img.ConfigFile()
	must(b, err)
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Config.Labels = map[string]string{flatten.BuildpackLayersLabel: "{" + label[1:] + "}"}
	img, err = mutate.ConfigFile(img, config)
	must(b, err)
	to := b.TempDir()
	_, err = layout.Write(to, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img}))
	must(b, err)
	b.Logf("%d bytes in %d layers", total, len(config.RootFS.DiffIDs))
	return to
}

// zipped is a layer of gzip.
type zipped struct {
	v1.Layer
	diff v1.Hash
}

func (z zipped) DiffID() (v1.Hash, error) { return z.diff, nil }

// tarOfDir is a tar of a directory in GOROOT.
func tarOfDir(b *testing.B, root, part, under string) []byte {
	var all []entry
	err := filepath.WalkDir(filepath.Join(root, part), func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		name := path.Join(under, filepath.ToSlash(rel))
		switch {
		case d.IsDir():
			all = append(all, dir(name))
		case d.Type().IsRegular():
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			all = append(all, file(name, string(data)))
		}
		return nil
	})
	must(b, err)
	return seedTar(all)
}
