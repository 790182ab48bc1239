package step

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
)

// sbomDir has the SBOMs of an app image (buildpack spec, "Software-Bill-of-Materials").
const sbomDir = "layers/sbom"

// restoreSBOM puts a layer with the SBOMs of a previous image where the lifecycle looks for it: it reads
// those of buildpacks whose layers it reuses. The layer has the files of the image's, and not its bytes.
func (s *Step) restoreSBOM(image string) {
	if err := s.packSBOM(s.in(LayoutDir, Dir(image))); err != nil {
		fmt.Fprintln(s.Stderr, "warning: the SBOMs of the previous image are not reused:", err)
	}
}

func (s *Step) packSBOM(dir string) (err error) {
	l, err := openLayout(dir)
	if err != nil {
		return err
	}
	raw, err := readFile(l.blob(l.manifest.Config.Digest))
	if err != nil {
		return err
	}
	var config v1.ConfigFile
	if err := json.Unmarshal(raw, &config); err != nil {
		return err
	}
	var labels flatten.AppLayers
	if err := json.Unmarshal([]byte(config.Config.Labels[flatten.AppLayersLabel]), &labels); err != nil || labels.SBOM == nil {
		return err
	}
	hash, err := v1.NewHash(labels.SBOM.SHA)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(s.in(PreviousDir)) // whose links lead nowhere else
	if err != nil {
		return err
	}
	defer root.Close()
	f, err := os.Create(l.blob(hash))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	defer func() { err = errors.Join(err, w.Close()) }()
	return fs.WalkDir(root.FS(), sbomDir, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name == sbomDir {
			return nil
		}
		if err != nil {
			return err
		}
		return packEntry(w, root, name, entry)
	})
}

// packEntry writes a directory or a regular file.
func packEntry(w *tar.Writer, root *os.Root, name string, entry fs.DirEntry) error {
	at := "/" + filepath.ToSlash(name)
	if entry.IsDir() {
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: at, Mode: 0o755})
	}
	if !entry.Type().IsRegular() {
		return nil
	}
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: at, Mode: 0o644, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.CopyN(w, f, info.Size())
	return err
}
