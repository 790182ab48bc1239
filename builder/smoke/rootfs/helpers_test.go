package rootfs_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/fixtures/workbench"
)

func workbenchTar(entries ...entry) []byte { return workbench.TarOf(entries...) }

func sha(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func blocksOf(info fs.FileInfo) int64 { return info.Sys().(*syscall.Stat_t).Blocks }

// workbenchSparse is a tar of one sparse file of 1 GiB and 512 bytes, as GNU tar writes it: the
// tar package does not write the records of sparse files itself.
func workbenchSparse(e entry) []byte {
	var records string
	for _, r := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=big", fmt.Sprintf("GNU.sparse.realsize=%d", 1<<30+512)} {
		n := len(r) + 3
		if n+1 > 9 {
			n++
		}
		records += fmt.Sprintf("%d %s\n", n, r)
	}
	pax := workbench.TarOf(entry{Header: tar.Header{Name: "pax", Typeflag: tar.TypeReg, Mode: 0o644}, Body: records})
	pax[156] = 'x'
	sum := 0
	copy(pax[148:156], "        ")
	for _, b := range pax[:512] {
		sum += int(b)
	}
	copy(pax[148:156], fmt.Sprintf("%06o\x00 ", sum))
	e.Format, e.PAXRecords = tar.FormatUSTAR, nil
	return bytes.Join([][]byte{pax[:len(pax)-1024], workbench.TarOf(e)}, nil)
}

// wrongDiffID is an image whose config has another diffID for its only layer.
type wrongDiffID struct{ v1.Image }

func (w wrongDiffID) RawConfigFile() ([]byte, error) {
	data, err := w.Image.RawConfigFile()
	if err != nil {
		return nil, err
	}
	config, err := w.ConfigFile()
	if err != nil {
		return nil, err
	}
	return []byte(strings.ReplaceAll(string(data), config.RootFS.DiffIDs[0].Hex, strings.Repeat("a", 64))), nil
}

func stoppedContext() (context.Context, context.CancelFunc) {
	stopped, stop := context.WithCancel(ctx)
	stop()
	return stopped, stop
}

// seedTar is a tar outside a spec.
func seedTar(entries []entry) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		e.Size = int64(len(e.Body))
		if err := w.WriteHeader(&e.Header); err != nil {
			panic(err)
		}
		if _, err := w.Write([]byte(e.Body)); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}
