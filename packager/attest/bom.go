package attest

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"net/url"
	"slices"

	"github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/packager/image"
)

// encode returns the JSON. The serial number is derived from all that the SBOM says.
func (s *sbom) encode() ([]byte, error) {
	bom := cyclonedx.BOM{
		BOMFormat: cyclonedx.BOMFormat, Version: 1, Components: list(s.components), Dependencies: list(s.dependencies),
		Metadata: &cyclonedx.Metadata{
			Component: &s.image,
			Tools:     &cyclonedx.ToolsChoice{Components: &[]cyclonedx.Component{{Type: cyclonedx.ComponentTypeApplication, Name: "laminate"}}},
		},
	}
	plain, err := encodeBOM(bom)
	if err != nil {
		return nil, err
	}
	bom.SerialNumber = "urn:uuid:" + uuid(plain)
	return encodeBOM(bom)
}

func encodeBOM(bom cyclonedx.BOM) ([]byte, error) {
	var b bytes.Buffer
	err := cyclonedx.NewBOMEncoder(&b, cyclonedx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(&bom, cyclonedx.SpecVersion1_6)
	return b.Bytes(), err
}

// namespace is the name space of UUIDs for URLs (RFC 9562, section 6.6); any would do.
var namespace = []byte{0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}

// uuid returns the UUID of a name, in version 5 (RFC 9562, section 5.5).
func uuid(name []byte) string {
	sum := sha1.Sum(slices.Concat(namespace, name))
	sum[6], sum[8] = sum[6]&0x0f|0x50, sum[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

func bomRef(kind flatten.Kind, r flatten.Ref) string { return string(kind) + " " + r.String() }

// contentID returns the content identity of a module, or zero.
func contentID(m *image.Module) v1.Hash {
	for _, f := range m.Layer.Facts {
		if f.Ref == m.Ref() {
			return f.ContentID
		}
	}
	if len(m.Layer.Refs) == 1 {
		return m.Layer.Diff
	}
	return v1.Hash{}
}

func sha256(h v1.Hash) *[]cyclonedx.Hash {
	if h.Algorithm != "sha256" {
		return nil
	}
	return &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: h.Hex}}
}

// list returns a pointer to a list, or nil if it is empty.
func list[T any](all []T) *[]T {
	if len(all) == 0 {
		return nil
	}
	return &all
}

// licenses returns licenses by their SPDX identifier if it is one of those that buildpacks usually
// have; the schema has a list of what it accepts as an identifier. All others are names.
func licenses(all []flatten.License) *cyclonedx.Licenses {
	var choices cyclonedx.Licenses
	for _, l := range all {
		is := cyclonedx.License{}
		switch {
		case slices.Contains(spdx, l.Type):
			is.ID = l.Type
		case l.Type != "":
			is.Name = l.Type
		case l.URI != "":
			is.Name = l.URI
		default:
			continue
		}
		if isWeb(l.URI) {
			is.URL = l.URI
		}
		choices = append(choices, cyclonedx.LicenseChoice{License: &is})
	}
	return (*cyclonedx.Licenses)(list(choices))
}

var spdx = []string{
	"0BSD", "AGPL-3.0-only", "AGPL-3.0-or-later", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "EPL-2.0", "GPL-2.0-only",
	"GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later", "ISC", "LGPL-2.1-only", "LGPL-3.0-only", "MIT", "MPL-2.0", "Unlicense", "Zlib",
}

// isWeb reports whether a string is an address that is a valid reference in the schema.
func isWeb(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.String() == s
}
