package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"laminate/packager/inspect"
)

// layers prints a table of the layers, one line per ref, and how many may be added.
func (p *page) layers(img *inspect.Image) {
	sizes := map[string]*int64{}
	for _, m := range img.Modules {
		sizes[m.Ref] = m.Bytes
	}
	p.section("Layers")
	p.line(layerLine("#", "compressed", "uncompressed", "diffID", "holds", ""))
	for _, l := range img.Layers {
		how, holds := sharing(img, l)
		number, packed, unpacked, diffID := fmt.Sprint(l.Number), sizeOf(l.CompressedBytes), sizeOf(l.Bytes), shortDigest(l.DiffID)
		for _, text := range holds {
			if n := sizes[text]; n != nil && len(l.Refs) > 1 {
				text = cut(text, layerRoom-12) + " " + bytes(*n)
			}
			p.line(layerLine(number, packed, unpacked, diffID, how, cut(printable(text), layerRoom)))
			number, packed, unpacked, diffID, how = "", "", "", "", ""
		}
	}
	p.wrapped("   ", "   ", headroom(img))
}

// layerRoom is how many columns the last one of the table has.
const layerRoom = reportWidth - 57

func layerLine(number, packed, unpacked, diffID, how, holds string) string {
	return fmt.Sprintf("   %3s  %10s  %12s  %-12s  %-8s %s", number, packed, unpacked, diffID, how, holds)
}

// sharing returns whether the modules of a layer share it, and what to print of its content, which
// is never nothing.
func sharing(img *inspect.Image, l inspect.Layer) (how string, holds []string) {
	holds = append(holds, l.Refs...)
	switch {
	case img.App != nil && len(l.Refs) > 0:
		return l.Part, []string{l.Holds + " of " + strings.Join(l.Refs, ", ")}
	case len(l.Refs) > 1:
		return "shared", holds
	case len(l.Refs) == 1:
		return "exploded", holds
	case l.Holds != "" && l.Holds != l.Part && slices.Contains([]string{inspect.BuildImagePart, inspect.RunImagePart, inspect.ConfigurationPart}, l.Part):
		return "", []string{l.Part + ": " + l.Holds}
	}
	return "", []string{cmp.Or(l.Holds, l.Part)}
}

// headroom tells how many layers may be added.
func headroom(img *inspect.Image) string {
	l := img.Limits
	rest := fmt.Sprintf("Docker's engine loads up to %d", l.Engine)
	if l.Build > 0 {
		rest += fmt.Sprintf(", and a platform may add %d for a build", l.Build)
	}
	if l.Headroom < 0 {
		advice := ""
		if img.Builder != nil || img.Buildpackage != nil {
			advice = " laminate flatten puts the buildpacks into fewer."
		}
		return fmt.Sprintf("%s, %d too many: %s.%s", count(l.Layers, "layer"), -l.Headroom, rest, advice)
	}
	return fmt.Sprintf("%s: %s, so %d more fit.", count(l.Layers, "layer"), rest, l.Headroom)
}

func sizeOf(n *int64) string {
	if n == nil {
		return "-"
	}
	return bytes(*n)
}

// shortDigest returns the first 12 digits of a digest.
func shortDigest(digest string) string {
	_, hex, _ := strings.Cut(digest, ":")
	return hex[:min(12, len(hex))]
}
