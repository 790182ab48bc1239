package layer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
)

// other is the time of entries that laminate did not write.
var other = time.Unix(1_500_000_000, 0)

// entry returns the bytes of one entry as the standard library writes it.
func entry(h tar.Header, content string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if h.ModTime.IsZero() {
		h.ModTime = other
	}
	if h.Mode == 0 {
		h.Mode = 0o751
	}
	if h.Typeflag == 0 {
		h.Typeflag = tar.TypeReg
	}
	h.Size = max(h.Size, int64(len(content)))
	must(w.WriteHeader(&h))
	_, err := io.WriteString(w, content)
	must(err)
	must(w.Flush())
	return b.Bytes()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func dir(name string) []byte           { return entry(tar.Header{Name: name, Typeflag: tar.TypeDir}, "") }
func file(name, content string) []byte { return entry(tar.Header{Name: name}, content) }

func hard(name, target string) []byte {
	return entry(tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target}, "")
}

func soft(name, target string) []byte {
	return entry(tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target}, "")
}

// own is a directory that a layer lacks and laminate adds.
func own(name string) []byte {
	return entry(tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755, ModTime: layer.Epoch}, "")
}

// raw is a header made by hand: a file that edit changes, with the checksum
// put right afterwards, and the content in whole blocks.
func raw(name string, edit func(block []byte), content string) []byte {
	block := entry(tar.Header{Name: "n", Format: tar.FormatUSTAR}, "")[:512]
	copy(block[:100], name)
	copy(block[124:], fmt.Sprintf("%011o\x00", len(content)))
	edit(block)
	copy(block[148:], "        ")
	sum := 0
	for _, b := range block {
		sum += int(b)
	}
	copy(block[148:], fmt.Sprintf("%06o\x00 ", sum))
	return cat(block, []byte(content), make([]byte, -len(content)&511))
}

func ofType(flag byte) func([]byte) { return func(block []byte) { block[156] = flag } }

// pax is an extended header with the records, which stands before an entry.
func pax(flag byte, records ...string) []byte {
	var text string
	for i := 0; i < len(records); i += 2 {
		rest := " " + records[i] + "=" + records[i+1] + "\n"
		n := len(rest) + 1
		for len(fmt.Sprint(n))+len(rest) != n {
			n++
		}
		text += fmt.Sprint(n) + rest
	}
	return raw("PaxHeader", ofType(flag), text)
}

func cat(parts ...[]byte) []byte { return slices.Concat(parts...) }

// end is what an archive ends in.
var end = make([]byte, 1024)

// opener opens the same bytes at every call.
// together joins pieces as they lie in a layer: of neighbours in one id
// directory only the first has the entry of it.
func together(pieces ...string) []byte {
	var joined []byte
	before := ""
	for _, p := range pieces {
		name, entry := idEntryOf(p)
		if name == before {
			p = p[len(entry):]
		}
		before = name
		joined = append(joined, p...)
	}
	return append(joined, end...)
}

// idEntryOf returns the name of a piece's id directory, and the entry of it.
func idEntryOf(piece string) (name, entry string) {
	r := strings.NewReader(piece)
	h, err := tar.NewReader(r).Next()
	must(err)
	return strings.TrimSuffix(h.Name, "/"), piece[:len(piece)-r.Len()]
}

func opener(tarball []byte) layer.Opener {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(tarball)), nil }
}

func written(p layer.Piece) (string, error) {
	var b bytes.Buffer
	err := p.WriteEntries(context.Background(), &b)
	return b.String(), err
}

// taken takes a layer apart in every way there is, which must agree: the
// pieces of the refs, in the layer's order, and the report.
func taken(tarball []byte, refs ...flatten.Ref) ([]string, layer.Report, error) {
	GinkgoHelper()
	ctx := context.Background()
	report, err := layer.Inspect(ctx, flatten.Buildpack, refs, opener(tarball))
	shared := fromShared(flatten.Buildpack, refs, "here", GinkgoT().TempDir(), opener(tarball))
	if err != nil {
		Expect(report).To(BeZero())
		for _, p := range shared {
			content, again := written(p)
			Expect(content).To(BeEmpty())
			Expect(again).To(MatchError("here: " + err.Error()))
		}
		return nil, report, err
	}
	Expect(report.Pieces).To(HaveLen(len(refs)))
	var pieces []string
	for _, facts := range report.Pieces {
		content, err := written(shared[facts.Ref])
		Expect(err).NotTo(HaveOccurred())
		Expect(layer.Measure(ctx, layer.Member{Ref: facts.Ref, Piece: shared[facts.Ref]})).To(Equal(facts))
		pieces = append(pieces, content)
	}
	if len(refs) == 1 {
		Expect(written(layer.FromLayer(flatten.Buildpack, refs[0], "here", opener(tarball)))).To(Equal(pieces[0]))
	}
	return pieces, report, nil
}

// tree returns what an archive unpacks to, a line for each path; a path listed twice counts
// once, with its last entry.
func tree(tarball []byte) map[string]string {
	GinkgoHelper()
	paths := map[string]string{}
	tr := tar.NewReader(bytes.NewReader(tarball))
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return paths
		}
		Expect(err).NotTo(HaveOccurred())
		content, err := io.ReadAll(tr)
		Expect(err).NotTo(HaveOccurred())
		name, err := layer.CleanName(h.Name)
		Expect(err).NotTo(HaveOccurred())
		link := h.Linkname
		if h.Typeflag == tar.TypeLink {
			link, err = layer.CleanName(link)
			Expect(err).NotTo(HaveOccurred())
		}
		paths[name] = fmt.Sprintf("%c %o %d:%d %v %q %q", h.Typeflag, h.Mode, h.Uid, h.Gid, h.ModTime.UTC(), link, content)
	}
}
