package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/packager/attest"
	"laminate/packager/registry"
	"laminate/packager/signing"
	"laminate/packager/source"
)

const (
	// readLimit is the maximum number of attached documents that are read, of one image, and
	// readBytes that of their bytes.
	readLimit = 50
	readBytes = 32 << 20
	// emptyType is the artifact type that registries list which take the config's for it.
	emptyType = "application/vnd.oci.empty.v1+json"
)

// Attached is what is attached to an image or an index.
type Attached struct {
	// Digest is that of the image or the index.
	Digest string `json:"digest"`
	// OK reports that nothing is broken.
	OK bool `json:"ok"`
	// Documents are SBOMs and in-toto statements. Others is the number of attachments of other types,
	// which are not read.
	Documents []Document `json:"documents"`
	Others    int        `json:"others"`
	// Signatures is the number of valid signatures by the key; 0 without a key.
	Signatures int       `json:"signatures"`
	Findings   []Finding `json:"findings"`
}

// Document is an attached document.
type Document struct {
	// Digest is that of the manifest by which it is attached.
	Digest string `json:"digest"`
	// Type is its media type.
	Type string `json:"type"`
}

// AttachedTo checks what is attached to the image or the index of a digest: that SBOMs and in-toto
// statements are about it, and, with a key, that it is signed. Nothing attached is fine. The error is
// one of reading the registry; whatever is wrong with an attachment is a finding.
//
// An attachment that cannot be read since access is denied is a note; with a key, that is an error.
func AttachedTo(ctx context.Context, repository *source.Repository, digest v1.Hash, key *signing.PublicKey) (*Attached, error) {
	a := &attached{repository: repository, digest: digest, Attached: &Attached{
		Digest: digest.String(), Documents: []Document{}, Findings: []Finding{},
	}}
	if err := a.documents(ctx); err != nil {
		return nil, err
	}
	if key != nil {
		if err := a.signatures(ctx, key); err != nil {
			return nil, err
		}
	}
	a.OK = !slices.ContainsFunc(a.Findings, func(f Finding) bool { return f.Severity == Broken })
	return a.Attached, nil
}

// attached is the state of the check of one digest.
type attached struct {
	*Attached
	repository *source.Repository
	digest     v1.Hash
	bytes      int
}

func (a *attached) add(severity Severity, what What, format string, args ...any) {
	a.Findings = append(a.Findings, Finding{Severity: severity, What: what, Message: fmt.Sprintf(format, args...)})
}

func (a *attached) documents(ctx context.Context) error {
	list, err := a.repository.Attachments(ctx, a.digest)
	switch {
	case err == nil:
	case registry.IsAbsent(err):
		a.add(Note, AttachedDocument, "attached documents cannot be read: %v", err)
		return nil
	case registry.IsNetwork(err), ctx.Err() != nil:
		return err
	default:
		a.add(Broken, AttachedDocument, "%v", unnamed(err))
		return nil
	}
	read := 0
	for _, one := range list {
		if !attest.Known(one.Type) && one.Type != "" && one.Type != emptyType {
			a.Others++
			continue
		}
		if read++; read > readLimit || a.bytes > readBytes {
			a.add(Note, AttachedDocument, "too many attached documents; %d of %d attachments are checked", read-1+a.Others, len(list))
			return nil
		}
		if err := a.document(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

// document checks an attached document.
func (a *attached) document(ctx context.Context, one source.Attachment) error {
	d, err := a.repository.Attached(ctx, a.digest, one)
	switch {
	case err == nil:
	case ctx.Err() != nil, registry.IsNetwork(err) && !registry.IsMissing(err):
		return err
	default:
		a.add(Broken, AttachedDocument, "%v", unnamed(err))
		return nil
	}
	a.bytes += len(d.Content)
	is := d.MediaType
	if !attest.Known(is) {
		is = d.Type
	}
	if !attest.Known(is) {
		a.Others++
		return nil
	}
	a.Documents = append(a.Documents, Document{Digest: one.Digest.String(), Type: is})
	about, err := attest.Subjects(is, d.Content)
	switch {
	case errors.Is(err, attest.ErrNoSubject):
		a.add(Note, AttachedDocument, "attachment %s (%s): %v", one.Digest, is, err)
	case err != nil:
		a.add(Broken, AttachedDocument, "attachment %s (%s): %v", one.Digest, is, err)
	case !slices.Contains(about, a.digest):
		a.add(Broken, AttachedDocument, "attachment %s (%s) is about %s, not about this image", one.Digest, is, about[0])
	}
	return nil
}

// signatures checks that one of the signatures is valid.
func (a *attached) signatures(ctx context.Context, key *signing.PublicKey) error {
	all, err := a.repository.Signatures(ctx, a.digest)
	switch {
	case err == nil:
	case ctx.Err() != nil, registry.IsNetwork(err) && !registry.IsMissing(err):
		return err
	default:
		a.add(Broken, Signature, "%v", unnamed(err))
		return nil
	}
	var why error
	for _, s := range all {
		if err := key.Verify(s, a.digest); err != nil {
			why = err
		} else {
			a.Signatures++
		}
	}
	switch {
	case a.Signatures > 0:
	case len(all) == 0:
		a.add(Broken, Signature, "%s is not signed", a.digest)
	case len(all) == 1:
		a.add(Broken, Signature, "the signature of %s is invalid: %v", a.digest, why)
	default:
		a.add(Broken, Signature, "none of the %d signatures of %s is valid; of the last, %v", len(all), a.digest, why)
	}
	return nil
}

// unnamed returns an error of a repository without the name of the image, of which the findings are.
func unnamed(err error) error {
	if inner := errors.Unwrap(err); inner != nil && !registry.IsNetwork(err) {
		return inner
	}
	return err
}
