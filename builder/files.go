package builder

import (
	"archive/tar"
	"fmt"
	"maps"
	"slices"

	"github.com/pelletier/go-toml/v2"

	"laminate/flatten"
	"laminate/flatten/layer"
)

// directory returns the entry of a directory that root owns.
func directory(name string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755, ModTime: layer.Epoch}
}

// rootDirs are owned by root; the build user owns the others.
var (
	userDirs = []string{"/workspace", layersDir}
	rootDirs = []string{"/cnb", "/cnb/buildpacks", "/cnb/extensions", "/platform", "/platform/env", "/cnb/build-config", "/cnb/build-config/env"}
)

const layersDir = "/layers"

// configuration is the content of the configuration layer: the directories and files that the
// lifecycle expects.
type configuration struct {
	uid, gid int
	order    orders
	// system is omitted without system buildpacks, unless hideSystem reports that the build image
	// has some: then the file is empty.
	system     flatten.System
	hideSystem bool
	runImages  []flatten.RunImage
	env        map[string]string
}

// orders is an order.toml (platform spec), with the version of every entry.
type orders struct {
	Order      flatten.Order `toml:"order,omitempty"`
	Extensions flatten.Order `toml:"order-extensions,omitempty"`
}

// writeTo writes the entries of the configuration layer: directories first, then files by name.
func (c configuration) writeTo(tw *tar.Writer) error {
	for _, dir := range userDirs {
		h := directory(dir)
		h.Uid, h.Gid = c.uid, c.gid
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
	}
	for _, dir := range rootDirs {
		if err := tw.WriteHeader(directory(dir)); err != nil {
			return err
		}
	}
	files, err := c.files()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, ModTime: layer.Epoch, Size: int64(len(files[name]))}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		if _, err := tw.Write(files[name]); err != nil {
			return err
		}
	}
	return nil
}

// files returns the files by absolute path.
func (c configuration) files() (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, content := range map[string]any{
		"/cnb/order.toml":  c.order,
		"/cnb/stack.toml":  stackFile{RunImage: c.runImages[0]},
		"/cnb/run.toml":    runFile{Images: c.runImages},
		"/cnb/system.toml": systemFile{System: c.system},
	} {
		if name == "/cnb/system.toml" && c.system.Empty() && !c.hideSystem {
			continue
		}
		text, err := toml.Marshal(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = text
	}
	for name, value := range c.env {
		files["/cnb/build-config/env/"+name] = []byte(value)
	}
	return files, nil
}

// stackFile is a stack.toml, which older lifecycles read (platform spec).
type stackFile struct {
	RunImage flatten.RunImage `toml:"run-image"`
}

// runFile is a run.toml (platform spec).
type runFile struct {
	Images []flatten.RunImage `toml:"images"`
}

// systemFile is a system.toml.
type systemFile struct {
	System flatten.System `toml:"system"`
}
