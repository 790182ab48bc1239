package layer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"laminate/flatten"
	"laminate/flatten/layer"
)

// Whatever a layer is, it is refused, or its pieces lie where they should,
// make a tidy layer that holds just them, and are all that the layer says.
func FuzzScan(f *testing.F) {
	x, x1, f1 := dir(bp+"/x"), dir(bp+"/x/1"), file(bp+"/x/1/f", "one")
	for _, seed := range [][]byte{
		cat(x, x1, f1, end), cat(x, x1, f1, dir(bp+"/x/2"), end), cat(x, x1, f1, x, dir(bp+"/x/2"), end), cat(x, x1, f1, dir(bp+"/x/"), dir(bp+"/x/2"), end),
		cat(x, x1, f1, dir(bp+"/x/2"), x1, end), cat(f1, file(bp+"/x/2/g", "two"), file(bp+"/x/1/z", "z")), nil, end,
		cat(x, x1, f1, hard(bp+"/x/1/h", bp+"/x/1/f"), soft(bp+"/x/1/s", ".."), end), cat(dir("./cnb/"), file("./cnb/buildpacks/x/1/f", "one"), end),
		cat(x, x1, pax('x', "path", bp+"/x/1/ü"), f1, end), cat(pax('g', "path", bp+"/x/1/ü"), f1, end), cat(x, x1, file(bp+"/x/1/../../f", ""), end),
		cat(x, x1, entry(tar.Header{Name: bp + "/x/1/" + strings.Repeat("n", 200), Format: tar.FormatGNU}, "gnu"), end),
		cat(pax('x', "GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.realsize", "999999999999"), raw(bp+"/x/1/s", ofType('0'), "0\n"), end),
	} {
		f.Add(seed)
	}
	refs := []flatten.Ref{{ID: "x", Version: "1"}}
	f.Fuzz(func(t *testing.T, tarball []byte) {
		for _, asked := range [][]flatten.Ref{refs, append(refs, flatten.Ref{ID: "x", Version: "2"})} {
			report, err := layer.Inspect(t.Context(), flatten.Buildpack, asked, opener(tarball))
			pieces := fromShared(flatten.Buildpack, asked, "here", t.TempDir(), opener(tarball))
			if err != nil {
				if _, again := written(pieces[asked[0]]); again == nil || again.Error() != "here: "+err.Error() {
					t.Fatalf("%v, but %v", err, again)
				}
				continue
			}
			var joined []string
			for _, facts := range report.Pieces {
				piece, err := written(pieces[facts.Ref])
				if err != nil || int64(len(piece)) != facts.Length {
					t.Fatalf("%d bytes of %v: %v", len(piece), facts, err)
				}
				staysBelow(t, piece, facts.Ref)
				joined = append(joined, piece)
			}
			whole := together(joined...)
			if report.NonCanonical == "" && !bytes.Equal(whole, tarball) {
				t.Fatal("it is called tidy, and its pieces do not make it")
			}
			if report.Duplicate != "" && report.NonCanonical == "" {
				t.Fatalf("it is called tidy, and has %s twice", report.Duplicate)
			}
			again, err := layer.Inspect(t.Context(), flatten.Buildpack, asked, opener(whole))
			if err != nil || again.NonCanonical != "" || len(again.Pieces) != len(report.Pieces) {
				t.Fatalf("its pieces make another layer: %v, %v, not %v", again, err, report)
			}
			_, first := idEntryOf(joined[0])
			_, last := idEntryOf(joined[len(joined)-1])
			if first == last && !slices.Equal(again.Pieces, report.Pieces) {
				t.Fatalf("its pieces are others when they are joined: %v, not %v", again, report)
			}
		}
	})
}

// staysBelow reads a piece as others do.
func staysBelow(t *testing.T, piece string, r flatten.Ref) {
	t.Helper()
	root := flatten.Buildpack.Dir(r)
	seen := map[string]byte{}
	tr := tar.NewReader(strings.NewReader(piece))
	for i := 0; ; i++ {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, tr); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(h.Name, "/")
		switch {
		case i == 0 && name == flatten.Buildpack.IDDir(r) && h.Typeflag == tar.TypeDir:
			continue
		case filepath.Clean(name) != name || !strings.HasPrefix(name+"/", root+"/") || strings.Contains(name, "/.wh."):
			t.Fatalf("%q is no place for a file of %s", h.Name, r)
		case h.Typeflag == tar.TypeLink && seen[h.Linkname] == 0:
			t.Fatalf("%q is a link to %q, which is not there", h.Name, h.Linkname)
		case !strings.ContainsRune("0125", rune(h.Typeflag)):
			t.Fatalf("%q is of type %q", h.Name, h.Typeflag)
		case seen[name] != 0 && (seen[name] != tar.TypeDir || h.Typeflag != tar.TypeDir):
			t.Fatalf("duplicate path %q", h.Name)
		}
		for parent := filepath.Dir(name); parent != "/"; parent = filepath.Dir(parent) {
			if what := seen[parent]; what != 0 && what != tar.TypeDir {
				t.Fatalf("%q is below %q", h.Name, parent)
			}
		}
		seen[name] = h.Typeflag
	}
}

// Whatever the paths are, they are refused, or built into a layer that passes
// its check and holds them all.
func FuzzNormalFormPaths(f *testing.F) {
	for _, seed := range []string{
		"bin/build\nbin-x\nbuildpack.toml", "a\na/b", "../x", "/x", "a/./b", "a//b\n.", "d:a\na/b", "l:x>../../y\nx", "h:one\nh:two\nbin/h:three",
		".wh.a", "a\x00", "ü\n\xff", strings.Repeat("a/", 60) + strings.Repeat("b", 120), "l:x>", "", "d:.wh.d\nd:e",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, lines string) {
		var files []layer.File
		want := map[string]bool{}
		for line := range strings.SplitSeq(lines, "\n") {
			file := layer.File{Path: line, Size: 1, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil }}
			if path, isDir := strings.CutPrefix(line, "d:"); isDir {
				file.Path, file.Mode = path, fs.ModeDir
			} else if path, isLink := strings.CutPrefix(line, "l:"); isLink {
				file.Path, file.Link, _ = strings.Cut(path, ">")
				file.Mode = fs.ModeSymlink
			} else if path, isHard := strings.CutPrefix(line, "h:"); isHard {
				file.Path, file.Same = path, "same"
			}
			files = append(files, file)
			want["/cnb/buildpacks/x_a/1/"+file.Path] = true
		}
		piece, err := layer.NormalForm(flatten.Buildpack, a1, "here", files)
		if err != nil {
			return
		}
		b, err := layer.Build(context.Background(), []layer.Member{{Ref: a1, Piece: piece}}, layer.BuildOptions{Kind: flatten.Buildpack, Path: filepath.Join(t.TempDir(), "layer")})
		if err != nil {
			t.Fatal(err)
		}
		content, err := written(piece)
		if err != nil || int64(len(content)) != b.Pieces[0].Length {
			t.Fatalf("%d bytes of %v: %v", len(content), b.Pieces, err)
		}
		staysBelow(t, content, a1)
		tr := tar.NewReader(strings.NewReader(content))
		for h, err := tr.Next(); err == nil; h, err = tr.Next() {
			delete(want, h.Name)
		}
		if len(want) > 0 {
			t.Fatalf("%v are not there", slices.Collect(maps.Keys(want)))
		}
	})
}
