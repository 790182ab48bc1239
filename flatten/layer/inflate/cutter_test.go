package inflate_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten/layer/inflate"
)

// header is that of laminate's own members.
func header() []byte {
	blob := compressed(GinkgoTB(), klauspostWriter(5), nil)
	return append(append([]byte{}, blob[:4]...), 0, 0, 0, 0, 0, 255)
}

// several are some ways to cut.
var several = []cutting{{part: 1000, every: 1}, {part: 4096, every: 3, lag: 1024}, {part: 1 << 20, every: 1}, {part: 77, every: 20, lag: 40_000}}

var _ = Describe("Cutter", func() {
	It("reads what the standard library reads, and cuts it anywhere", func() {
		accepted := 0
		for _, s := range samples(GinkgoTB()) {
			By(s.name)
			want, wantErr := stdRead(s.blob)
			got, err := io.ReadAll(inflate.NewCutter(bytes.NewReader(s.blob)))
			if wantErr != nil {
				Expect(err).To(MatchError(wantErr))
				want = got
			} else {
				Expect(err).NotTo(HaveOccurred())
				accepted++
			}
			Expect(bytes.Equal(got, want)).To(BeTrue())
			for _, n := range []int{0, len(want) / 3, len(want) - 1024, len(want)} {
				if n >= 0 && n <= len(want) {
					out := checkCut(GinkgoTB(), s.blob, want, n, several...)
					Expect(n == 0 || bytes.HasPrefix(out, header())).To(BeTrue())
					Expect(string(out)).NotTo(ContainSubstring(foreignName))
				}
			}
		}
		Expect(accepted).To(BeNumerically(">", 30))
	})

	It("reads and cuts blocks of all kinds with any codes", func() {
		cut := 0
		for seed := range uint64(50) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			blob, content := memberOf(random(rnd))
			Expect(blob).NotTo(BeNil(), "seed %d", seed)
			got, err := io.ReadAll(inflate.NewCutter(bytes.NewReader(blob)))
			Expect(err).NotTo(HaveOccurred(), "seed %d", seed)
			Expect(bytes.Equal(got, content)).To(BeTrue(), "seed %d", seed)
			n := rnd.IntN(len(content) + 1)
			checkCut(GinkgoTB(), blob, content, n, cutting{part: 1 + rnd.IntN(5000), every: 1})
			cut += n
		}
		Expect(cut).To(BeNumerically(">", 100_000))
	})

	It("reads what other tools compress", func() {
		content := executable(GinkgoTB(), 400_000)
		dir := GinkgoT().TempDir()
		file := filepath.Join(dir, "content")
		Expect(os.WriteFile(file, content, 0o600)).To(Succeed())
		for _, tool := range []string{
			"gzip -1", "gzip -9", "pigz -p 3 -b 128", "pigz -i", "libdeflate-gzip -1", "libdeflate-gzip -12", "igzip -0", "igzip -3",
			"7z a -tgzip -mx=9 -so x", "zopfli --i1 -c",
		} {
			words := strings.Fields(tool)
			if _, err := exec.LookPath(words[0]); err != nil {
				AddReportEntry(tool + " is not here")
				continue
			}
			By(tool)
			if words[0] != "7z" && words[0] != "zopfli" {
				words = append(words, "-c")
			}
			blob, err := exec.Command(words[0], append(words[1:], file)...).Output()
			Expect(err).NotTo(HaveOccurred())
			again, err := stdRead(blob)
			Expect(err).NotTo(HaveOccurred())
			Expect(bytes.Equal(again, content)).To(BeTrue())
			out := checkCut(GinkgoTB(), blob, content, len(content)-1024, cutting{part: 1 << 15, every: 1, lag: 1024})
			Expect(len(out)).To(BeNumerically("<", len(blob)+len(blob)/20))
			checkCut(GinkgoTB(), blob, content, len(content)/2)
		}
	})

	It("keeps the blocks before the cut as they are", func() {
		content := executable(GinkgoTB(), 4<<20)
		blob := compressed(GinkgoTB(), stdWriter(stdgzip.DefaultCompression), content)
		out := checkCut(GinkgoTB(), blob, content, len(content)-1024)
		same := 10
		for same < len(blob) && blob[same] == out[same] {
			same++
		}
		Expect(same).To(BeNumerically(">", len(blob)-100_000))
		Expect(len(out)).To(BeNumerically("<", len(blob)+2000))
	})

	It("keeps members that end before the cut, but for names, times, and those that hold nothing", func() {
		content := mixture()
		none := compressed(GinkgoTB(), stdWriter(6), nil)
		one := compressed(GinkgoTB(), klauspostWriter(6), content)
		plain := append(header(), one[10:]...)
		two := fullHeader(GinkgoTB(), content)
		plainTwo := append(header(), two[10+2+700+5+8+2:]...)
		blob := bytes.Join([][]byte{none, two, none, one, none, two}, nil)
		whole := bytes.Repeat(content, 3)
		n := len(content)
		Expect(checkCut(GinkgoTB(), blob, whole, n, several...)).To(Equal(plainTwo))
		Expect(checkCut(GinkgoTB(), blob, whole, 2*n, several...)).To(Equal(append(plainTwo, plain...)))
		Expect(checkCut(GinkgoTB(), blob, whole, 3*n, several...)).To(Equal(bytes.Join([][]byte{plainTwo, plain, plainTwo}, nil)))
		out := checkCut(GinkgoTB(), blob, whole, n+1, several...)
		Expect(out[:len(plainTwo)]).To(Equal(plainTwo))
		Expect(out[len(plainTwo):]).To(HaveLen(10 + 6 + 2 + 8)) // a stored block of one byte, and an empty one that ends the stream
	})

	It("returns what is certain as soon as it is", func() {
		content := executable(GinkgoTB(), 4<<20)
		blob := compressed(GinkgoTB(), stdWriter(stdgzip.DefaultCompression), content)
		c := inflate.NewCutter(bytes.NewReader(blob))
		_, err := io.ReadFull(c, make([]byte, len(content)/2))
		Expect(err).NotTo(HaveOccurred())
		b, err := c.Keep(int64(len(content) / 4))
		Expect(err).NotTo(HaveOccurred())
		Expect(len(b)).To(BeNumerically(">", len(blob)/5))
		rest, err := c.End(int64(len(content) / 4))
		Expect(err).NotTo(HaveOccurred())
		Expect(len(rest)).To(BeNumerically("<", 100_000))
	})

	It("goes on reading after the end, to the error that may be there", func() {
		content := mixture()
		blob := compressed(GinkgoTB(), stdWriter(6), content)
		for _, end := range []struct {
			blob []byte
			err  error
		}{{blob, nil}, {changed(blob, len(blob)-5), gzip.ErrChecksum}, {blob[:len(blob)-1], io.ErrUnexpectedEOF}} {
			c := inflate.NewCutter(bytes.NewReader(end.blob))
			_, err := io.ReadFull(c, make([]byte, 1000))
			Expect(err).NotTo(HaveOccurred())
			_, err = c.End(500)
			Expect(err).NotTo(HaveOccurred())
			rest, err := io.ReadAll(c)
			if end.err == nil {
				Expect(err).NotTo(HaveOccurred())
			} else {
				Expect(err).To(Equal(end.err))
			}
			Expect(bytes.Equal(rest, content[1000:])).To(BeTrue())
			_, err = c.Keep(600)
			Expect(err).To(MatchError("a gzip stream that is cut already"))
			_, err = c.End(600)
			Expect(err).To(MatchError("a gzip stream that is cut already"))
		}
	})

	It("cuts only what was read, and never before what is kept", func() {
		c := inflate.NewCutter(bytes.NewReader(compressed(GinkgoTB(), stdWriter(6), mixture())))
		_, err := io.ReadFull(c, make([]byte, 1000))
		Expect(err).NotTo(HaveOccurred())
		_, err = c.Keep(1001)
		Expect(err).To(MatchError("cut of a gzip stream after 1001 bytes: 0 to 1000 is possible"))
		_, err = c.Keep(700)
		Expect(err).NotTo(HaveOccurred())
		_, err = c.Keep(699)
		Expect(err).To(MatchError("cut of a gzip stream after 699 bytes: 700 to 1000 is possible"))
		_, err = c.End(699)
		Expect(err).To(HaveOccurred())
		_, err = c.End(1001)
		Expect(err).To(HaveOccurred())
		_, err = c.End(700)
		Expect(err).NotTo(HaveOccurred())
	})

	It("reads on without holding anything, whatever the buffers' ends meet", func() {
		var b blocks
		lit, _ := fixedCodes()
		const n = 200_000
		for i := range n {
			b.head(false, 1)
			b.symbol(lit, 256)
			b.head(i == n-1, 0)
			b.used = 0
			b.out = append(b.out, 3, 0, 0xff-3, 0xff, byte(i), byte(i>>8), 'x')
		}
		tiny, _ := memberOf(b.out)
		for _, blob := range [][]byte{tiny, farthest()} {
			content, err := stdRead(blob)
			Expect(err).NotTo(HaveOccurred())
			c := inflate.NewCutter(bytes.NewReader(blob))
			Expect(c.End(0)).To(BeEmpty())
			got, err := io.ReadAll(c)
			Expect(err).NotTo(HaveOccurred())
			Expect(bytes.Equal(got, content)).To(BeTrue())
		}
	})

	It("hands on the error of its source, once the content before it is out", func() {
		content := mixture()
		blob := compressed(GinkgoTB(), stdWriter(6), content)
		broken := errors.New("broken")
		got, err := io.ReadAll(inflate.NewCutter(io.MultiReader(bytes.NewReader(blob[:len(blob)/2]), iotest.ErrReader(broken))))
		Expect(err).To(MatchError(broken))
		Expect(len(got)).To(BeNumerically(">", 1000))
		Expect(bytes.HasPrefix(content, got)).To(BeTrue())
		got, err = io.ReadAll(inflate.NewCutter(io.MultiReader(bytes.NewReader(blob), iotest.ErrReader(broken))))
		Expect(err).To(MatchError(broken))
		Expect(bytes.Equal(got, content)).To(BeTrue())
		_, err = inflate.NewCutter(idle{}).Read(make([]byte, 1))
		Expect(err).To(MatchError(io.ErrNoProgress))
	})
})

// idle returns nothing, and no end of it.
type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }
