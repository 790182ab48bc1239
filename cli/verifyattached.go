package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/packager/localfile"
	"laminate/packager/signing"
	"laminate/packager/source"
	"laminate/packager/verify"
)

// keyLimit is the maximum size of a file with a key. PEM of a key has some hundred bytes.
const keyLimit = 64 << 10

// readPublicKey reads the file of --key.
func readPublicKey(file string) (*signing.PublicKey, error) {
	raw, err := localfile.Read(file, keyLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("--key %s: no such file; name a public key, such as cosign.pub", file)
	}
	if err != nil {
		return nil, fmt.Errorf("--key: %w", err)
	}
	key, err := signing.ParsePublicKey(raw)
	if err != nil {
		return nil, fmt.Errorf("--key %s: %w", file, err)
	}
	return key, nil
}

// attached checks what is attached to the index and to each image, if they are in a registry. The
// signature must be one of what REF names: the index, if there is one.
func (v *verifyRun) attached(ctx context.Context, found *source.Platforms) ([]*verify.Attached, error) {
	name := found.Images[0].Repository()
	if name == "" {
		if v.key != nil {
			return nil, fmt.Errorf("%s is not in a registry, and has no signatures; leave out --key, or write docker://REF", v.loc)
		}
		return nil, nil
	}
	repository, err := v.open.Repository(ctx, name)
	if err != nil {
		return nil, err
	}
	var digests []v1.Hash
	if found.Index != (v1.Hash{}) {
		digests = append(digests, found.Index)
	}
	for _, img := range found.Images {
		digest, err := img.Digest()
		if err != nil {
			return nil, err
		}
		digests = append(digests, digest)
	}
	var all []*verify.Attached
	for i, digest := range digests {
		key := v.key
		if i > 0 {
			key = nil
		}
		a, err := verify.AttachedTo(ctx, repository, digest, key)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

func countBrokenAttached(all []*verify.Attached) (n int) {
	for _, a := range all {
		for _, f := range a.Findings {
			if f.Severity == verify.Broken {
				n++
			}
		}
	}
	return n
}

// attached prints what is attached, of those to which something is, or should be.
func (p *page) attached(name string, all []*verify.Attached) {
	for _, a := range all {
		var has []string
		if n := len(a.Documents); n > 0 {
			has = append(has, count(n, "document")+" attached")
		}
		if a.Others > 0 {
			has = append(has, count(a.Others, "attachment")+" not read")
		}
		if a.Signatures > 0 {
			has = append(has, "signed by the key")
		}
		if len(has)+len(a.Findings) == 0 {
			continue
		}
		state := "ok"
		if !a.OK {
			state = "broken"
		}
		p.wrapped("", "   ", strings.Join(append([]string{fmt.Sprintf("%s %.19s: %s", name, a.Digest, state)}, has...), ", "))
		p.findings(a.Findings, false)
	}
}
