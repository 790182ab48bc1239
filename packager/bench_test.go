package packager_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"laminate/fixtures"
	"laminate/flatten"
	"laminate/packager"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/location"
	"laminate/packager/sink"
	"laminate/packager/source"
)

// BenchmarkPackage packages a composite of seven components, some 180 MB of
// real executables, into a .cnb: from reading package.toml to the file in its
// place.
func BenchmarkPackage(b *testing.B) {
	dir := b.TempDir()
	file, size, err := fixtures.Composite7(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, mode := range []flatten.Mode{flatten.None, flatten.All} {
		b.Run(string(mode), func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				packageOnce(b, file, mode)
			}
			b.ReportMetric(peakMiB(b), "peak-MiB")
		})
	}
}

func packageOnce(b *testing.B, file string, mode flatten.Mode) {
	workDir := b.TempDir()
	defer os.RemoveAll(workDir)
	config, err := config.ReadPackage(file)
	if err != nil {
		b.Fatal(err)
	}
	jobs, err := packager.Prepare(b.Context(), &source.Opener{WorkDir: workDir},
		packager.Options{Config: config, Options: engine.Options{Grouping: flatten.Grouping{Mode: mode}, WorkDir: workDir}})
	if err != nil {
		b.Fatal(err)
	}
	img, err := jobs[0].Build(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	dest := location.Location{Kind: location.Path, Path: filepath.Join(workDir, "out.cnb")}
	if _, err := sink.Write(b.Context(), dest, []sink.Image{{Image: img.Image, Target: img.Target}}, sink.Options{}); err != nil {
		b.Fatal(err)
	}
}

// peakMiB is the most memory that the process has had, where the system tells;
// else what the runtime has asked the system for.
func peakMiB(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.Sys) / (1 << 20)
	}
	for line := range strings.Lines(string(status)) {
		if kB, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kB), "kB")), 64)
			if err != nil {
				b.Fatal(err)
			}
			return n / 1024
		}
	}
	return 0
}
