package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"laminate/flatten"
	"laminate/packager/location"
	"laminate/packager/signing"
	"laminate/packager/source"
	"laminate/packager/verify"
)

const verifyDescription = `It reads all layers of a buildpackage, a builder or any other image, made by any tool, and checks that digests and diffIDs match the bytes, that labels and directories agree, that every buildpack.toml says what the label says, that orders name buildpacks of the image, that engines and platforms can use it, and more. It exits with 1 if something is broken. Notes do not count. Of a multi-platform index it checks all images, unless --target names one.

Of an image in a registry, it reads what is attached, too: SBOMs (CycloneDX) and in-toto statements, such as provenance, must be about its digest. With --key, the image must be signed by that key, as release and cosign sign it.

With --against, the image named there is checked as well, and both must hold the same buildpacks with the same files, in whatever layers: flattened against exploded, or made by another tool. Times and owners do not count, nor does it that REF2 has too many layers.

` + refForms

// verifyForms are the values of --output, with what prints them.
var verifyForms = map[string]func(io.Writer, *verify.Result) error{
	"text": printVerified,
	"json": func(w io.Writer, r *verify.Result) error { return writeJSON(w, r) },
}

func (r *run) verifyCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "output", Value: "text", Usage: "print as `FORMAT`: " + flatten.AnyOf(forms(verifyForms))},
		&cli.StringFlag{Name: "key", Usage: "check that a signature in the registry is of the public key in `FILE`, such as cosign.pub", TakesFile: true},
		&cli.StringFlag{Name: "against", Usage: "check that the image `REF2` holds the same buildpacks with the same files"},
	}
	return &cli.Command{
		Name: "verify", Usage: "check an image: digests, labels, layers, orders, limits", ArgsUsage: "REF", Description: verifyDescription, UsageText: verifyExamples, HideHelpCommand: true,
		Flags: slices.Concat(flags, refFlags(), commonFlags()),
		Action: func(c *cli.Context) error {
			return (&verifyRun{session: session{run: r, c: c}}).do()
		},
	}
}

// verifyRun is one run of "verify".
type verifyRun struct {
	session
	loc     location.Location
	against *location.Location
	target  flatten.Target
	key     *signing.PublicKey // nil if signatures are not checked
	result  *verify.Result
}

func (v *verifyRun) do() error {
	refs, target, errs := v.readRefs("REF")
	if n := v.c.Args().Len(); n == 2 {
		errs[0] = fmt.Errorf("%d arguments; write REF; to compare two images, write --against REF2", n)
	}
	form, err := v.format(forms(verifyForms)...)
	errs = append(errs, err)
	if against := v.c.String("against"); against != "" {
		loc, err := location.ParseSource(against, "")
		if err != nil {
			err = fmt.Errorf("--against: %w", err)
		}
		errs = append(errs, err)
		v.against = &loc
	}
	if err := errors.Join(errs...); err != nil {
		return wrongUse(v.c, "%w", err)
	}
	v.loc, v.target = refs[0], target
	if file := v.c.String("key"); file != "" {
		if v.key, err = readPublicKey(file); err != nil {
			return err
		}
	}
	if err := v.within(v.c.Context, v.check); err != nil {
		return err
	}
	if err := standardOutput(verifyForms[form](v.stdout, v.result)); err != nil {
		return err
	}
	if !v.result.OK {
		return v.brokenError()
	}
	return nil
}

// check opens all images, verifies them, and compares them.
func (v *verifyRun) check(ctx context.Context) error {
	v.openSources()
	v.result = &verify.Result{Schema: verify.Schema, Name: v.loc.String(), Differences: []verify.Finding{}}
	found, err := v.images(ctx, v.loc, v.target)
	if err != nil {
		return err
	}
	if v.result.Attached, err = v.attached(ctx, found); err != nil {
		return err
	}
	others := &source.Platforms{}
	if v.against != nil {
		v.result.Against = v.against.String()
		if others, err = v.images(ctx, *v.against, v.target); err != nil {
			return err
		}
	}
	if v.result.Images, err = verified(ctx, found); err != nil {
		return err
	}
	if v.result.AgainstImages, err = verified(ctx, others); err != nil {
		return err
	}
	forgiveLayers(v.result.AgainstImages)
	if v.against != nil {
		v.result.Differences, err = verify.Against(ctx, v.result.Images, v.result.AgainstImages)
	}
	v.result.OK = isOK(v.result.Images) && isOK(v.result.AgainstImages) && countBrokenAttached(v.result.Attached) == 0 && len(v.result.Differences) == 0
	return err
}

// forgiveLayers makes notes of findings that an image to compare with has too many layers: to
// flatten it is what mends that.
func forgiveLayers(reports []*verify.Report) {
	for _, r := range reports {
		for i, f := range r.Findings {
			if f.What == verify.LayerCount {
				r.Findings[i].Severity = verify.Note
			}
		}
		r.OK = countBroken([]*verify.Report{r}) == 0
	}
}

func isOK(reports []*verify.Report) bool {
	return !slices.ContainsFunc(reports, func(r *verify.Report) bool { return !r.OK })
}

// verified verifies images, one after the other: each reads its layers side by side.
func verified(ctx context.Context, found *source.Platforms) ([]*verify.Report, error) {
	var reports []*verify.Report
	for _, img := range found.Images {
		report, err := verify.Image(ctx, img)
		if err != nil {
			return nil, err
		}
		reports = append(reports, report)
	}
	return reports, nil
}

// brokenError says how much is broken in which image. The list is on standard output.
func (v *verifyRun) brokenError() error {
	var parts []string
	if n := countBroken(v.result.Images) + countBrokenAttached(v.result.Attached); n > 0 {
		parts = append(parts, fmt.Sprintf("%s: %s", v.loc, count(n, "problem")))
	}
	if n := countBroken(v.result.AgainstImages); n > 0 {
		parts = append(parts, fmt.Sprintf("%s: %s", v.against, count(n, "problem")))
	}
	if n := len(v.result.Differences); n > 0 {
		parts = append(parts, fmt.Sprintf("%s: %s from %s", v.loc, count(n, "difference"), v.against))
	}
	return errors.New(strings.Join(parts, "; "))
}

// countBroken counts the findings of what is broken.
func countBroken(reports []*verify.Report) (n int) {
	for _, r := range reports {
		for _, f := range r.Findings {
			if f.Severity == verify.Broken {
				n++
			}
		}
	}
	return n
}

// notesShown is how many notes of an image are printed; JSON has all.
const notesShown = 10

// printVerified prints the result for people.
func printVerified(w io.Writer, r *verify.Result) error {
	p := &page{}
	p.verified(r.Name, r.Images)
	p.attached(r.Name, r.Attached)
	if r.Against != "" {
		p.verified(r.Against, r.AgainstImages)
		switch n := len(r.Differences); n {
		case 0:
			p.wrapped("", "   ", fmt.Sprintf("%s holds the same buildpacks with the same files as %s", r.Name, r.Against))
		default:
			p.wrapped("", "   ", fmt.Sprintf("%s from %s:", count(n, "difference"), r.Against))
			p.findings(r.Differences, false)
		}
	}
	return p.print(w)
}

func (p *page) verified(name string, reports []*verify.Report) {
	for _, r := range reports {
		state := "ok"
		if !r.OK {
			state = "broken"
		}
		read := r.CompressedBytes
		if read == 0 {
			read = r.Bytes
		}
		holds := ""
		if r.Buildpacks > 0 {
			holds += count(r.Buildpacks, "buildpack") + ", "
		}
		if r.Extensions > 0 {
			holds += count(r.Extensions, "extension") + ", "
		}
		p.wrapped("", "   ", fmt.Sprintf("%s %s: %s, %s, %s%s read", name, r.Target, state, count(r.Layers, "layer"), holds, bytes(read)))
		p.findings(r.Findings, r.Buildpacks > 0)
		if r.Omitted > 0 {
			p.wrapped("   ", "      ", fmt.Sprintf("and %d more", r.Omitted))
		}
	}
}

// findings prints what is broken in an image, and then the first notes.
func (p *page) findings(all []verify.Finding, hasBuildpacks bool) {
	notes := 0
	for _, severity := range []verify.Severity{verify.Broken, verify.Note} {
		for _, f := range all {
			if f.Severity != severity {
				continue
			}
			if severity == verify.Note {
				if notes++; notes > notesShown {
					continue
				}
			}
			advice := ""
			if f.What == verify.LayerCount && hasBuildpacks {
				advice = "; laminate flatten puts the buildpacks into fewer"
			}
			p.wrapped("   ", "      ", fmt.Sprintf("%s: %s%s%s", f.Severity, subjectOf(f), f.Message, advice))
		}
	}
	if notes > notesShown {
		p.wrapped("   ", "      ", fmt.Sprintf("and %s; --output json has all", count(notes-notesShown, "more note")))
	}
}

// subjectOf returns what a finding is about, as a prefix of its message.
func subjectOf(f verify.Finding) string {
	var s string
	switch {
	case f.Layer > 0 && f.Ref != "":
		s = fmt.Sprintf("layer %d (%s): ", f.Layer, f.Ref)
	case f.Layer > 0:
		s = fmt.Sprintf("layer %d: ", f.Layer)
	case f.Ref != "":
		s = f.Ref + ": "
	}
	if f.Target != "" {
		s = f.Target + ": " + s
	}
	return s
}
