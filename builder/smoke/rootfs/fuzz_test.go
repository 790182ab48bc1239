package rootfs_test

import (
	"archive/tar"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"laminate/builder/smoke/rootfs"
	"laminate/packager/stream"
)

// FuzzLayer unpacks any bytes as a layer, over one with links that lead out of the root file system
// if they are followed. Nothing outside may change, and everything can be removed.
func FuzzLayer(f *testing.F) {
	seeds := [][]entry{
		{link("bin", "usr/bin"), file("bin/x", "x"), hard("y", "bin/x"), file("bin/.wh.x", "")},
		{file("out/kept", "1"), file("up/kept", "2"), file("out/.wh.kept", ""), file("up/.wh..wh..opq", "")},
		{hard("h", "out/kept"), link("l", "out"), dir("l"), special("l/x", tar.TypeChar, 0o666)},
		{file("../kept", ""), file("/../../kept", ""), dir("."), link("loop", "loop"), file("loop/x", "")},
	}
	for _, s := range seeds {
		f.Add(seedTar(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		outside := t.TempDir()
		work := filepath.Join(outside, "work")
		if err := os.Mkdir(work, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(outside, "kept"), []byte("kept"), 0o400); err != nil {
			t.Fatal(err)
		}
		base := seedTar([]entry{link("out", outside), link("up", "../.."), link("far", "../../../../../../../../../../"+outside), file("a/b", "b")})
		raw, err := rawImage(nil, base, data)
		if err != nil {
			t.Fatal(err)
		}
		img, err := viewOf(raw)
		if err != nil {
			t.Fatal(err)
		}
		root, err := rootfs.Unpack(ctx, img, rootfs.Options{WorkDir: work, Limits: stream.Limits{Bytes: 1 << 20, Entries: 1000}})
		if err == nil {
			if err := root.Close(); err != nil {
				t.Fatal(err)
			}
		}
		var left []string
		if err := filepath.WalkDir(outside, func(p string, _ fs.DirEntry, err error) error {
			left = append(left, p)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		kept, err := os.ReadFile(filepath.Join(outside, "kept"))
		if err != nil || string(kept) != "kept" || len(left) != 3 {
			t.Fatalf("outside: %q, %v, %q", kept, err, left)
		}
	})
}
